package io.github.recurrentkif.cli;

import io.github.recurrentkif.experiment.RunListener;
import io.github.recurrentkif.kernels.MaskCounts;
import java.util.List;
import java.util.Locale;

/**
 * Shows a run while it goes on, until it is closed. A notice may come from any thread: Ctrl-C does.
 */
interface RunView extends RunListener, AutoCloseable {

  /**
   * A block that is rewritten in place where a person watches, plain lines elsewhere.
   *
   * @param opening lines to show when the first task begins
   */
  static RunView of(Terminal terminal, int tasks, List<String> opening) {
    return terminal.live()
        ? new LiveRunView(terminal, tasks, opening)
        : new PlainRunView(terminal, tasks, opening);
  }

  /** Whether a task has begun: until then there was nothing to go on from. */
  boolean begun();

  /** Shares of the parameters that the last fusion found important to something. */
  static String masks(MaskCounts counts) {
    double percent = 100.0 / Math.max(1, counts.elements());
    return String.format(
        Locale.ROOT,
        "new %.0f%%, old %.0f%%, shared %.0f%%, redundant %.0f%%",
        counts.newOnly() * percent,
        counts.oldOnly() * percent,
        counts.shared() * percent,
        counts.redundant() * percent);
  }

  @Override
  void close();
}
