package io.github.recurrentkif.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import org.junit.jupiter.api.Test;

class ProgressTest {

  private static final String ERASE = "\r\u001b[K";

  private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();
  private Instant now = Instant.EPOCH;

  private Progress progress(boolean live, int width, Duration interval, long total) {
    PrintStream out = new PrintStream(bytes, true, StandardCharsets.UTF_8);
    return new Progress(out, live, width, interval, () -> now, "agnews", "updates", total);
  }

  private String written() {
    String text = bytes.toString(StandardCharsets.UTF_8).replace(System.lineSeparator(), "\n");
    bytes.reset();
    return text;
  }

  private void pass(Duration time) {
    now = now.plus(time);
  }

  @Test
  void a_log_gets_a_line_only_when_the_interval_has_passed() {
    try (Progress progress = progress(false, 80, Duration.ofSeconds(30), 1250)) {
      pass(Duration.ofSeconds(29));
      progress.at(100, "loss 1.5");
      assertEquals("", written());
      pass(Duration.ofSeconds(1));
      progress.at(125, "loss 1.4");
      assertEquals("agnews: 125/1250 updates (10%), 4.2/s, 4 min 30 s left, loss 1.4\n", written());
      pass(Duration.ofSeconds(2));
      progress.at(130, "loss 1.4");
      assertEquals("", written());
    }
  }

  @Test
  void the_live_line_is_rewritten_in_place_and_cut_to_the_terminal() {
    try (Progress progress = progress(true, 20, Duration.ofMillis(100), 0)) {
      pass(Duration.ofSeconds(2));
      progress.at(1, "ää");
      assertEquals(ERASE + "agnews: 1 updates, ", written());
      progress.message("saved");
      assertEquals(ERASE + "saved\n" + ERASE + "agnews: 1 updates, ", written());
    }
    assertEquals(ERASE + "agnews: 1 updates in 2.0 s, 2.0 s each, ää\n", written());
  }

  @Test
  void a_log_never_gets_an_escape_code() {
    try (Progress progress = progress(false, 80, Duration.ZERO, 3)) {
      progress.at(1, "");
      progress.message("saved");
    }
    String text = written();
    assertFalse(text.contains("\u001b"), text);
    assertFalse(text.contains("\r"), text);
    assertTrue(text.endsWith("\nsaved\nagnews: 1 updates in 0.0 s\n"), text);
  }

  @Test
  void the_time_left_is_never_negative() {
    try (Progress progress = progress(false, 80, Duration.ZERO, 2)) {
      pass(Duration.ofSeconds(1));
      progress.at(4, "");
      assertEquals("agnews: 4/2 updates (200%), 4.0/s, 0.0 s left\n", written());
    }
  }

  @Test
  void durations_are_readable() {
    assertEquals("4.2 s", Progress.readable(Duration.ofMillis(4200)));
    assertEquals("59.9 s", Progress.readable(Duration.ofMillis(59_999)));
    assertEquals("3 min 05 s", Progress.readable(Duration.ofSeconds(185)));
    assertEquals("27 h 07 min", Progress.readable(Duration.ofMinutes(27 * 60 + 7)));
  }
}
