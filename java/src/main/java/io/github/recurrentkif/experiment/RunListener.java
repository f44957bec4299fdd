package io.github.recurrentkif.experiment;

import io.github.recurrentkif.kernels.MaskCounts;
import io.github.recurrentkif.training.Outcome;

/** Watches a run from outside: progress for people. Numbers of tasks and updates count from 0. */
public interface RunListener {

  /**
   * A task begins, or goes on after an interruption.
   *
   * @param completed updates already done
   */
  default void taskBegins(int task, String name, long completed, long updates) {}

  /** Tokens of prompts and answers read in this process so far, those of memory included. */
  default void tokens(long all) {}

  default void updated(long completed, Outcome outcome) {}

  default void fused(long completed, MaskCounts counts) {}

  /** A checkpoint has been written. */
  default void saved() {}

  default void evaluationBegins(int afterTask, String task, int samples) {}

  default void evaluated(int samples) {}

  default void evaluationEnds(int afterTask, String task, double accuracy) {}

  /** Something the user should know. */
  default void notice(String text) {}
}
