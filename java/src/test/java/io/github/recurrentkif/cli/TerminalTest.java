package io.github.recurrentkif.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Map;
import org.junit.jupiter.api.Test;

class TerminalTest {

  private static Terminal of(String streams, Map<String, String> environment) {
    return Terminal.of(System.out, System.err, streams, environment);
  }

  @Test
  void a_terminal_is_live_and_coloured() {
    Terminal terminal = of("out err", Map.of());
    assertTrue(terminal.live());
    assertTrue(terminal.color());
  }

  @Test
  void no_color_turns_colours_off_and_leaves_the_live_line() {
    Terminal terminal = of("out err", Map.of("NO_COLOR", "1"));
    assertTrue(terminal.live());
    assertFalse(terminal.color());
    assertTrue(of("out err", Map.of("NO_COLOR", "")).color());
  }

  @Test
  void a_dumb_terminal_is_neither() {
    Terminal terminal = of("out err", Map.of("TERM", "dumb"));
    assertFalse(terminal.live());
    assertFalse(terminal.color());
  }

  @Test
  void what_the_launcher_saw_counts_more_than_what_java_saw() {
    assertFalse(of("out err", Map.of("KIF_TERMINAL", "out")).live());
    assertFalse(of("out err", Map.of("KIF_TERMINAL", "")).live());
    Terminal redirected = of("", Map.of("KIF_TERMINAL", "err"));
    assertTrue(redirected.live());
    assertFalse(redirected.color());
  }

  @Test
  void the_width_is_that_of_columns_if_it_is_a_width() {
    assertEquals(120, of("", Map.of("COLUMNS", "120")).width());
    assertEquals(80, of("", Map.of("COLUMNS", "wide")).width());
    assertEquals(80, of("", Map.of()).width());
  }
}
