package io.github.recurrentkif.experiment.sweep;

import io.github.recurrentkif.experiment.sweep.Speeds.Speed;
import io.github.recurrentkif.experiment.sweep.Workload.Amount;
import java.io.BufferedReader;
import java.io.IOException;
import java.util.function.BiConsumer;
import org.jspecify.annotations.Nullable;

/** The process of one run, and what it has said so far. Used by one thread, but for reading. */
final class Worker {

  private final PlannedRun run;
  private final Workload workload;
  private final Process process;
  private final long start = System.nanoTime();
  private final Amount before;
  private long logFrom;
  private @Nullable WorkerMessage latest;
  private long latestAt;
  private Amount done;
  private Amount measured = Workload.NOTHING;
  private double learning;
  private double answering;
  private long memory;
  private long peak;

  /**
   * @param before what was done by earlier processes
   * @param logFrom where in the log this process begins
   */
  Worker(PlannedRun run, Workload workload, Process process, Amount before, long logFrom) {
    this.run = run;
    this.workload = workload;
    this.process = process;
    this.before = before;
    this.done = before;
    this.logFrom = logFrom;
  }

  PlannedRun run() {
    return run;
  }

  long logFrom() {
    return logFrom;
  }

  /**
   * Reads what the process says until it ends, on a thread of its own.
   *
   * @param said is told each message, and null when the process has ended
   */
  void listen(BiConsumer<Worker, @Nullable WorkerMessage> said) {
    Thread.ofVirtual()
        .name("worker of " + run.name())
        .start(
            () -> {
              try (BufferedReader lines = process.inputReader()) {
                for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                  WorkerMessage.parse(line).ifPresent(message -> said.accept(this, message));
                }
              } catch (IOException e) {
                // Its end is all that matters.
              }
              process.onExit().join();
              said.accept(this, null);
            });
  }

  /** Takes in a message. */
  void heard(WorkerMessage message) {
    long now = System.nanoTime();
    Amount reached = workload.at(message);
    WorkerMessage previous = latest;
    if (previous != null) {
      double seconds = (now - latestAt) / 1e9;
      Amount step = reached.minus(done);
      // Between two kinds of work lie checkpoints and files, which belong to neither.
      switch (message) {
        case WorkerMessage.Learning _ when previous instanceof WorkerMessage.Learning -> {
          learning += seconds;
          measured = measured.plus(new Amount(step.learned(), 0));
        }
        case WorkerMessage.Examining _ when previous instanceof WorkerMessage.Examining -> {
          answering += seconds;
          measured = measured.plus(new Amount(0, step.answered()));
        }
        default -> {}
      }
    }
    latest = message;
    latestAt = now;
    done = reached;
  }

  /** Looks at the memory of the process. */
  void look() {
    memory = MachineMemory.ofProcess(process.pid());
    peak = Math.max(peak, memory);
  }

  long memory() {
    return memory;
  }

  Amount done() {
    return done;
  }

  /** Learned by this process so far. */
  double learned() {
    return done.learned() - before.learned();
  }

  double seconds() {
    return (System.nanoTime() - start) / 1e9;
  }

  /** What this process has shown by now. */
  Speed speed() {
    return new Speed(
        measured, learning, answering, 1, Math.max(0, seconds() - learning - answering), peak);
  }

  /** While it still goes on: its beginning is not over until something was done. */
  Speed speedSoFar() {
    return new Speed(measured, learning, answering, 0, 0, peak);
  }

  /** Lets it save its state and end. */
  void askToStop() {
    try {
      process.getOutputStream().close();
    } catch (IOException e) {
      // It has ended.
    }
  }

  int status() {
    return process.exitValue();
  }

  int task() {
    return switch (latest) {
      case null -> -1;
      case WorkerMessage.Learning learns -> learns.task();
      case WorkerMessage.Examining examines -> examines.after();
    };
  }

  String doing() {
    return switch (latest) {
      case null -> "starting";
      case WorkerMessage.Learning learns ->
          "learning %s, update %d of %d"
              .formatted(name(learns.task()), learns.completed(), learns.updates());
      case WorkerMessage.Examining examines ->
          "examining %s, answer %d of %d"
              .formatted(
                  name(examines.task()),
                  examines.answered(),
                  workload.examined().get(examines.task()));
    };
  }

  private String name(int task) {
    return run.configuration().tasks().get(task);
  }
}
