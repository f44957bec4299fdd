package io.github.recurrentkif.cli;

import java.io.PrintStream;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.Locale;

/**
 * How far a long piece of work has come: one line that is rewritten in place where a person
 * watches, a line every now and then where a log is written. Not for use by several threads.
 */
public final class Progress implements AutoCloseable {

  private static final Duration REDRAW = Duration.ofMillis(100);
  private static final Duration LOG = Duration.ofSeconds(30);

  /** Nobody sets it: an hour's change of the machine's time is no hour of work. */
  private static final InstantSource RUNNING_ON = () -> Instant.EPOCH.plusNanos(System.nanoTime());

  private static final String TO_LINE_START_AND_ERASE = "\r\u001b[K";

  private final PrintStream out;
  private final boolean live;
  private final int width;
  private final Duration interval;
  private final InstantSource clock;
  private final String work;
  private final String unit;
  private final long total;
  private final Instant start;
  private Instant lastShown;
  private long done;
  private String note = "";
  private boolean shown;

  /**
   * @param work what is done, in front of the line: {@code agnews}
   * @param unit what is counted, in the plural: {@code updates}
   * @param total how many there are, or 0 if nobody knows
   */
  public Progress(Terminal terminal, String work, String unit, long total) {
    this(
        terminal.err(),
        terminal.live(),
        terminal.width(),
        terminal.live() ? REDRAW : LOG,
        RUNNING_ON,
        work,
        unit,
        total);
  }

  Progress(
      PrintStream out,
      boolean live,
      int width,
      Duration interval,
      InstantSource clock,
      String work,
      String unit,
      long total) {
    this.out = out;
    this.live = live;
    this.width = width;
    this.interval = interval;
    this.clock = clock;
    this.work = work;
    this.unit = unit;
    this.total = total;
    this.start = clock.instant();
    this.lastShown = start;
  }

  /**
   * Says how much is done by now, with a short note such as the loss; shows it if the last line is
   * old enough.
   */
  public void at(long done, String note) {
    this.done = done;
    this.note = note;
    var now = clock.instant();
    if (Duration.between(lastShown, now).compareTo(interval) >= 0) {
      lastShown = now;
      show(line(now));
    }
  }

  /** How many there are, or 0 if nobody knows. */
  public long total() {
    return total;
  }

  /** Writes a lasting line above the live one. */
  public void message(String text) {
    erase();
    out.println(text);
    if (live && shown) {
      show(line(clock.instant()));
    }
    out.flush();
  }

  /** Leaves one last line that says how long it took. */
  @Override
  public void close() {
    Duration elapsed = Duration.between(start, clock.instant());
    erase();
    out.println(
        work + ": " + done + " " + unit + " in " + readable(elapsed) + rate(elapsed) + note());
    out.flush();
  }

  /** Takes the line away: what was done came to nothing, and whoever stopped it says why. */
  void abandon() {
    erase();
    out.flush();
  }

  private void show(String line) {
    if (live) {
      // A line that wraps could not be erased.
      int end =
          line.offsetByCodePoints(0, Math.min(width - 1, line.codePointCount(0, line.length())));
      out.print(TO_LINE_START_AND_ERASE + line.substring(0, end));
    } else {
      out.println(line);
    }
    out.flush();
    shown = true;
  }

  private void erase() {
    if (live && shown) {
      out.print(TO_LINE_START_AND_ERASE);
    }
  }

  private String line(Instant now) {
    Duration elapsed = Duration.between(start, now);
    StringBuilder line = new StringBuilder(work).append(": ").append(done);
    if (total > 0) {
      line.append('/').append(total);
    }
    line.append(' ').append(unit);
    if (total > 0) {
      line.append(" (").append(100 * done / total).append("%)");
    }
    line.append(rate(elapsed));
    if (total > 0 && done > 0) {
      double secondsLeft = seconds(elapsed) / done * Math.max(0, total - done);
      line.append(", ")
          .append(readable(Duration.ofMillis((long) (1000 * secondsLeft))))
          .append(" left");
    }
    return line.append(note()).toString();
  }

  private String note() {
    return note.isEmpty() ? "" : ", " + note;
  }

  private String rate(Duration elapsed) {
    double seconds = seconds(elapsed);
    if (done == 0 || seconds == 0) {
      return "";
    }
    double perSecond = done / seconds;
    return perSecond >= 1
        ? String.format(Locale.ROOT, ", %.1f/s", perSecond)
        : String.format(Locale.ROOT, ", %.1f s each", 1 / perSecond);
  }

  private static double seconds(Duration duration) {
    return duration.toNanos() / 1e9;
  }

  /** {@code 4.2 s}, {@code 3 min 05 s}, {@code 2 h 07 min}. */
  static String readable(Duration duration) {
    long seconds = duration.toSeconds();
    if (seconds < 60) {
      // Cut, not rounded: 59.99 s are not 60.0 s.
      long tenths = duration.toMillis() / 100;
      return seconds + "." + tenths % 10 + " s";
    }
    if (seconds < 3600) {
      return String.format(Locale.ROOT, "%d min %02d s", seconds / 60, seconds % 60);
    }
    return String.format(Locale.ROOT, "%d h %02d min", seconds / 3600, seconds / 60 % 60);
  }
}
