package io.github.recurrentkif.cli;

import io.github.recurrentkif.kernels.MaskCounts;
import io.github.recurrentkif.training.Outcome;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/** A run for a log: a line for each task and examination, and now and then one between. */
final class PlainRunView implements RunView {

  private final Terminal terminal;
  private final int tasks;
  private final List<String> opening;
  private boolean begun;
  private @Nullable Progress line;
  private long resumedFrom;
  private String masks = "";

  PlainRunView(Terminal terminal, int tasks, List<String> opening) {
    this.opening = opening;
    this.terminal = terminal;
    this.tasks = tasks;
  }

  private Progress begin(String work, String unit, long total) {
    close();
    line = new Progress(terminal, work, unit, total);
    return line;
  }

  @Override
  public synchronized void taskBegins(int task, String name, long completed, long updates) {
    if (!begun) {
      begun = true;
      opening.forEach(this::notice);
    }
    masks = "";
    resumedFrom = completed;
    String resumed = completed == 0 ? "" : " from update " + completed;
    begin(
        "task " + (task + 1) + "/" + tasks + " " + name + resumed, "updates", updates - completed);
  }

  @Override
  public synchronized void updated(long completed, Outcome outcome) {
    if (line != null) {
      line.at(
          completed - resumedFrom,
          String.format(Locale.ROOT, "loss %.4f", outcome.meanLoss()) + masks);
    }
  }

  @Override
  public synchronized void fused(long completed, MaskCounts counts) {
    masks = ", important: " + RunView.masks(counts);
  }

  @Override
  public synchronized void evaluationBegins(int afterTask, String task, int samples) {
    begin("  evaluate " + task, "samples", samples);
  }

  @Override
  public synchronized void evaluated(int samples) {
    if (line != null) {
      line.at(samples, "");
    }
  }

  @Override
  public synchronized void evaluationEnds(int afterTask, String task, double accuracy) {
    if (line != null) {
      line.at(line.total(), String.format(Locale.ROOT, "accuracy %.1f%%", 100 * accuracy));
    }
    close();
  }

  @Override
  public boolean begun() {
    return begun;
  }

  @Override
  public synchronized void notice(String text) {
    if (line != null) {
      line.message(text);
    } else {
      terminal.err().println(text);
    }
  }

  @Override
  public synchronized void close() {
    if (line != null) {
      line.close();
      line = null;
    }
  }
}
