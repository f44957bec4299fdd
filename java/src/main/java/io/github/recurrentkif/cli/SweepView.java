package io.github.recurrentkif.cli;

import io.github.recurrentkif.experiment.sweep.PlannedRun;
import io.github.recurrentkif.experiment.sweep.SweepListener;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * A sweep while it goes on: a block of lines that is rewritten in place where a person watches, a
 * line now and then elsewhere, and a lasting line for each run that ends.
 */
final class SweepView implements SweepListener, AutoCloseable {

  private static final long REDRAW_NANOS = 200_000_000;
  private static final long LOG_NANOS = 30_000_000_000L;
  private static final int WIDEST = 100;
  private static final int MOST_ACTIVE = 12;

  private final Terminal terminal;
  private final LiveBlock block;
  private long lastShown = System.nanoTime();
  private @Nullable State state;

  SweepView(Terminal terminal) {
    this.terminal = terminal;
    this.block = new LiveBlock(terminal.err(), terminal.width());
  }

  @Override
  public void begins(PlannedRun run, boolean resumed) {
    if (!terminal.live()) {
      say(run.name() + (resumed ? ": goes on" : ": begins"));
    }
  }

  @Override
  public void finished(PlannedRun run, double seconds) {
    say(run.name() + ": finished in " + readable(seconds));
  }

  @Override
  public void failed(PlannedRun run, String reason, Path log) {
    say(run.name() + ": FAILED: " + reason + "; log: " + log);
  }

  @Override
  public void stopped(PlannedRun run) {
    say(run.name() + ": stopped, and can go on");
  }

  @Override
  public void notice(String text) {
    say(text);
  }

  private synchronized void say(String text) {
    if (terminal.live() && state != null) {
      block.above(text, lines(state));
    } else {
      terminal.err().println(text);
      terminal.err().flush();
    }
  }

  @Override
  public synchronized void at(State now) {
    state = now;
    long interval = terminal.live() ? REDRAW_NANOS : LOG_NANOS;
    if (System.nanoTime() - lastShown >= interval) {
      lastShown = System.nanoTime();
      if (terminal.live()) {
        block.show(lines(now));
      } else {
        terminal.err().println(line(now));
        terminal.err().flush();
      }
    }
  }

  @Override
  public synchronized void close() {
    if (terminal.live()) {
      block.erase();
    }
  }

  /** {@code sweep: 34%, 12 of 40 runs finished, 1 failed, 2 at work, 210 samples/s, ...}. */
  static String line(State state) {
    return "sweep: %d%%, %s, %d at work%s%s%s"
        .formatted(
            (int) (100 * state.share()),
            counts(state),
            state.active().size(),
            part(", ", rate(state)),
            part(", ", left(state)),
            part(", ", memory(state)));
  }

  private List<String> lines(State state) {
    int width = Math.min(terminal.width() - 1, WIDEST);
    List<String> lines = new ArrayList<>();
    String numbers = " %3d%%  %s".formatted((int) (100 * state.share()), counts(state));
    int room = Math.max(10, width - 2 - numbers.length());
    int full = (int) Math.round(Math.clamp(state.share(), 0, 1) * room);
    lines.add("[" + "=".repeat(full) + " ".repeat(room - full) + "]" + numbers);
    lines.add(
        "%d at work%s%s%s"
            .formatted(
                state.active().size(),
                part("   ", rate(state)),
                part("   ", left(state)),
                part("   ", memory(state))));
    int longest =
        state.active().stream().mapToInt(one -> one.run().name().length()).max().orElse(0);
    for (Active one : state.active().stream().limit(MOST_ACTIVE).toList()) {
      String name = one.run().name();
      lines.add(
          "  %s%s  %3d%%  %s%s"
              .formatted(
                  name,
                  " ".repeat(longest - name.length()),
                  (int) (100 * one.share()),
                  one.task() < 0
                      ? ""
                      : "task %d of %d: "
                          .formatted(one.task() + 1, one.run().configuration().tasks().size()),
                  one.doing()));
    }
    if (state.active().size() > MOST_ACTIVE) {
      lines.add("  and " + (state.active().size() - MOST_ACTIVE) + " more");
    }
    return lines;
  }

  private static String counts(State state) {
    return "%d of %d runs finished%s"
        .formatted(
            state.finished(),
            state.runs(),
            state.failed() == 0 ? "" : ", " + state.failed() + " failed");
  }

  private static String rate(State state) {
    return state.samplesPerSecond() > 0
        ? String.format(Locale.ROOT, "%.1f samples/s", state.samplesPerSecond())
        : "";
  }

  private static String left(State state) {
    return state.secondsLeft().isPresent()
        ? readable(state.secondsLeft().getAsDouble()) + " left"
        : "";
  }

  private static String memory(State state) {
    return state.memory() > 0
        ? String.format(Locale.ROOT, "memory %.1f GiB", state.memory() / (double) (1L << 30))
        : "";
  }

  private static String part(String separator, String text) {
    return text.isEmpty() ? "" : separator + text;
  }

  static String readable(double seconds) {
    return Progress.readable(Duration.ofMillis((long) (1000 * seconds)));
  }
}
