package io.github.recurrentkif.cli;

import java.io.Console;
import java.io.PrintStream;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Help.Ansi;

/**
 * Where a command writes: results to {@code out}, progress and errors to {@code err}.
 *
 * @param live whether a person watches {@code err}, so that a line may be rewritten in place
 * @param color whether escape codes for colours may be written
 * @param width columns
 */
public record Terminal(PrintStream out, PrintStream err, boolean live, boolean color, int width) {

  private static final int USUAL_WIDTH = 80;

  /** In which the launcher, which can ask for each stream, names those that are a terminal. */
  static final String STREAMS = "KIF_TERMINAL";

  /** The terminal of this process. */
  @SuppressWarnings("SystemConsoleNull") // JDK 25 gives null again where no person watches.
  public static Terminal ofProcess() {
    Console console = System.console();
    String streams = console != null && console.isTerminal() ? "out err" : "";
    return of(System.out, System.err, streams, System.getenv());
  }

  /**
   * @param streams which of {@code out} and {@code err} are a terminal, unless the environment says
   * @param environment {@code NO_COLOR} (not empty) turns colours off; {@code TERM=dumb} turns
   *     colours and live lines off; {@code CI} turns live lines off; {@code COLUMNS} is the width
   */
  static Terminal of(
      PrintStream out, PrintStream err, String streams, Map<String, String> environment) {
    List<String> terminals =
        Arrays.asList(environment.getOrDefault(STREAMS, streams).split(" ", -1));
    boolean able = !"dumb".equals(environment.get("TERM"));
    boolean watched = environment.getOrDefault("CI", "").isEmpty();
    boolean live = able && watched && terminals.contains("err");
    boolean color =
        able
            && terminals.contains("err")
            && terminals.contains("out")
            && environment.getOrDefault("NO_COLOR", "").isEmpty();
    return new Terminal(out, err, live, color, width(environment.get("COLUMNS")));
  }

  /** The same without anything that is rewritten in place. */
  Terminal plain() {
    return new Terminal(out, err, false, color, width);
  }

  private static int width(@Nullable String columns) {
    if (columns == null || !columns.matches("[1-9][0-9]{1,3}")) {
      return USUAL_WIDTH;
    }
    return Integer.parseInt(columns);
  }

  Ansi ansi() {
    return color ? Ansi.ON : Ansi.OFF;
  }
}
