package io.github.recurrentkif.cli;

import io.github.recurrentkif.kernels.MaskCounts;
import io.github.recurrentkif.training.Outcome;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.function.LongSupplier;

/**
 * A run for somebody who watches: one block of lines for what is being done, and above it a lasting
 * line for each task and each examination.
 */
final class LiveRunView implements RunView {

  private static final long REDRAW_NANOS = 100_000_000;
  private static final int WIDEST = 100;

  private final LiveBlock block;
  private final int width;
  private final int tasks;
  private final List<String> opening;
  private boolean begun;
  private final LongSupplier nanoseconds;
  private final LongSupplier memory;

  private String title = "";
  private String summary = "";
  private String unit = "";
  private long total;
  private long done;
  private long doneBefore;
  private long start;
  private long tokens;
  private long tokensBefore;
  private String loss = "";
  private String masks = "";
  private boolean everFused;
  private long saved;
  private boolean everSaved;
  private long lastShown;
  private boolean working;

  LiveRunView(Terminal terminal, int tasks, List<String> opening) {
    this(
        new LiveBlock(terminal.err(), terminal.width()),
        terminal.width(),
        tasks,
        opening,
        System::nanoTime,
        () -> ResidentMemory.bytes(Path.of("/proc/self/statm")));
  }

  /**
   * @param nanoseconds a clock that only runs on
   * @param memory in bytes
   */
  LiveRunView(
      LiveBlock block,
      int width,
      int tasks,
      List<String> opening,
      LongSupplier nanoseconds,
      LongSupplier memory) {
    this.block = block;
    this.width = Math.min(width - 1, WIDEST);
    this.tasks = tasks;
    this.opening = opening;
    this.nanoseconds = nanoseconds;
    this.memory = memory;
  }

  private void begin(String title, String summary, String unit, long before, long total) {
    finish();
    this.loss = "";
    this.masks = "";
    this.tokensBefore = tokens;
    this.title = title;
    this.summary = summary;
    this.unit = unit;
    this.total = total;
    this.done = before;
    this.doneBefore = before;
    this.start = nanoseconds.getAsLong();
    this.working = true;
    show();
  }

  @Override
  public synchronized void taskBegins(int task, String name, long completed, long updates) {
    if (!begun) {
      begun = true;
      opening.forEach(this::notice);
    }
    String number = "task " + (task + 1) + " of " + tasks + ": " + name;
    String resumed = completed == 0 ? "" : ", resumed after update " + completed;
    begin(number + resumed, number, "updates", completed, updates);
  }

  @Override
  public synchronized void tokens(long all) {
    tokens = all;
  }

  @Override
  public synchronized void updated(long completed, Outcome outcome) {
    done = completed;
    loss = String.format(Locale.ROOT, "loss %.4f", outcome.meanLoss());
    showSometimes();
  }

  @Override
  public synchronized void fused(long completed, MaskCounts counts) {
    masks = RunView.masks(counts);
    everFused = true;
  }

  @Override
  public synchronized void saved() {
    saved = nanoseconds.getAsLong();
    everSaved = true;
  }

  @Override
  public synchronized void evaluationBegins(int afterTask, String task, int samples) {
    begin(
        "task " + (afterTask + 1) + " of " + tasks + " is learned; examining " + task,
        "  examined " + task,
        "samples",
        0,
        samples);
  }

  @Override
  public synchronized void evaluated(int samples) {
    done = samples;
    showSometimes();
  }

  @Override
  public synchronized void evaluationEnds(int afterTask, String task, double accuracy) {
    done = total;
    loss = String.format(Locale.ROOT, "accuracy %.1f%%", 100 * accuracy);
    finish();
  }

  @Override
  public boolean begun() {
    return begun;
  }

  @Override
  public synchronized void notice(String text) {
    if (working) {
      block.above(text, lines());
    } else {
      block.above(text, List.of());
    }
  }

  /** Leaves one lasting line of what was being done. */
  private void finish() {
    if (working) {
      working = false;
      Duration elapsed = elapsed();
      block.above(
          join(
              ", ",
              summary + ": " + (done - doneBefore) + " " + unit,
              Progress.readable(elapsed),
              rate(done - doneBefore, elapsed, unit),
              loss),
          List.of());
    }
  }

  @Override
  public synchronized void close() {
    finish();
    block.erase();
  }

  private void showSometimes() {
    if (nanoseconds.getAsLong() - lastShown >= REDRAW_NANOS) {
      show();
    }
  }

  private void show() {
    lastShown = nanoseconds.getAsLong();
    block.show(lines());
  }

  private Duration elapsed() {
    return Duration.ofNanos(nanoseconds.getAsLong() - start);
  }

  /** The block as it stands now. */
  List<String> lines() {
    Duration elapsed = elapsed();
    boolean learning = unit.equals("updates");
    List<String> lines = new ArrayList<>();
    lines.add(title);
    lines.add(bar());
    lines.add(
        join(
            "   ",
            rate(done - doneBefore, elapsed, unit),
            learning ? rate(tokens - tokensBefore, elapsed, "tokens") : "",
            left(elapsed),
            loss));
    if (learning && everFused) {
      lines.add("important: " + (masks.isEmpty() ? "no fusion yet" : masks));
    }
    lines.add(
        join(
            "   ",
            String.format(Locale.ROOT, "memory %.1f GiB", memory.getAsLong() / (double) (1L << 30)),
            everSaved
                ? "checkpoint "
                    + Progress.readable(Duration.ofNanos(nanoseconds.getAsLong() - saved))
                    + " ago"
                : ""));
    return lines;
  }

  private String bar() {
    double share = total == 0 ? 0 : Math.clamp((double) done / total, 0, 1);
    // As wide for the first as for the last, so that the bar's end stands still.
    String count = String.format("%" + String.valueOf(total).length() + "d", done);
    String numbers =
        String.format(Locale.ROOT, " %3d%%  %s of %d %s", (int) (100 * share), count, total, unit);
    int room = Math.max(10, width - 2 - numbers.length());
    int full = (int) Math.round(share * room);
    return "[" + "=".repeat(full) + " ".repeat(room - full) + "]" + numbers;
  }

  private static String rate(long count, Duration elapsed, String unit) {
    double seconds = elapsed.toNanos() / 1e9;
    if (count <= 0 || seconds <= 0) {
      return "";
    }
    double perSecond = count / seconds;
    return perSecond >= 1000
        ? String.format(Locale.ROOT, "%,.0f %s/s", perSecond, unit)
        : perSecond >= 1
            ? String.format(Locale.ROOT, "%.1f %s/s", perSecond, unit)
            : String.format(Locale.ROOT, "%.1f s per %s", 1 / perSecond, singular(unit));
  }

  private static String singular(String unit) {
    return unit.substring(0, unit.length() - 1);
  }

  private String left(Duration elapsed) {
    long since = done - doneBefore;
    if (since <= 0 || total == 0) {
      return "";
    }
    double seconds = elapsed.toNanos() / 1e9 / since * Math.max(0, total - done);
    return Progress.readable(Duration.ofMillis((long) (1000 * seconds))) + " left";
  }

  private static String join(String separator, String... parts) {
    List<String> said = new ArrayList<>();
    for (String part : parts) {
      if (!part.isEmpty()) {
        said.add(part);
      }
    }
    return String.join(separator, said);
  }
}
