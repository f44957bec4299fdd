package io.github.recurrentkif.experiment.sweep;

import java.nio.file.Path;
import java.util.List;
import java.util.OptionalDouble;

/** Watches a sweep from outside: progress for people. */
public interface SweepListener {

  /**
   * A run that a process works on.
   *
   * @param task number of the one that is learned or was learned last, from 0; -1 before the first
   * @param doing in words
   * @param share of the run that is done, from 0 to 1
   */
  record Active(PlannedRun run, int task, String doing, double share) {}

  /**
   * How far a sweep has come.
   *
   * @param secondsLeft empty while nothing was measured
   * @param samplesPerSecond learned by all processes together, of late
   * @param memory bytes that the processes have to themselves
   */
  record State(
      int runs,
      int finished,
      int failed,
      List<Active> active,
      double share,
      OptionalDouble secondsLeft,
      double samplesPerSecond,
      long memory) {}

  /** A process begins a run, or goes on with it. */
  default void begins(PlannedRun run, boolean resumed) {}

  default void finished(PlannedRun run, double seconds) {}

  default void failed(PlannedRun run, String reason, Path log) {}

  /** A process ended as it was asked to; the run can go on. */
  default void stopped(PlannedRun run) {}

  /** Something the user should know. */
  default void notice(String text) {}

  /** Several times a second. */
  default void at(State state) {}
}
