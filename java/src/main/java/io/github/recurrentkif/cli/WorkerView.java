package io.github.recurrentkif.cli;

import io.github.recurrentkif.experiment.sweep.WorkerMessage;
import io.github.recurrentkif.kernels.MaskCounts;
import io.github.recurrentkif.training.Outcome;
import java.io.PrintStream;
import java.util.List;

/**
 * A run as the process of a sweep: plain lines for its log on the error stream, and messages for
 * the sweep on the other.
 */
final class WorkerView implements RunView {

  /** As often as somebody who watches the sweep would notice. */
  private static final long INTERVAL_NANOS = 50_000_000;

  private final PrintStream sweep;
  private final RunView log;
  private int task;
  private int examined;
  private int samples;
  private long updates;
  private long lastSaid = System.nanoTime();

  WorkerView(Terminal terminal, int tasks, List<String> opening) {
    this.sweep = terminal.out();
    this.log = new PlainRunView(terminal.plain(), tasks, opening);
  }

  private void say(WorkerMessage message) {
    lastSaid = System.nanoTime();
    sweep.println(message.line());
    sweep.flush();
  }

  private boolean due() {
    return System.nanoTime() - lastSaid >= INTERVAL_NANOS;
  }

  @Override
  public void taskBegins(int number, String name, long completed, long all) {
    task = number;
    updates = all;
    examined = 0;
    log.taskBegins(number, name, completed, all);
    say(new WorkerMessage.Learning(number, completed, all));
  }

  @Override
  public void updated(long completed, Outcome outcome) {
    log.updated(completed, outcome);
    if (completed == updates || due()) {
      say(new WorkerMessage.Learning(task, completed, updates));
    }
  }

  @Override
  public void fused(long completed, MaskCounts counts) {
    log.fused(completed, counts);
  }

  @Override
  public void evaluationBegins(int afterTask, String name, int all) {
    samples = all;
    log.evaluationBegins(afterTask, name, all);
    say(new WorkerMessage.Examining(afterTask, examined, 0));
  }

  @Override
  public void evaluated(int answered) {
    log.evaluated(answered);
    if (due()) {
      say(new WorkerMessage.Examining(task, examined, answered));
    }
  }

  @Override
  public void evaluationEnds(int afterTask, String name, double accuracy) {
    log.evaluationEnds(afterTask, name, accuracy);
    say(new WorkerMessage.Examining(afterTask, examined++, samples));
  }

  @Override
  public boolean begun() {
    return log.begun();
  }

  @Override
  public void notice(String text) {
    log.notice(text);
  }

  @Override
  public void close() {
    log.close();
  }
}
