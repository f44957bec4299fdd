package io.github.recurrentkif.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.memory.InputException;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CancellationException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

class MainTest {

  private final ByteArrayOutputStream out = new ByteArrayOutputStream();
  private final ByteArrayOutputStream err = new ByteArrayOutputStream();
  @TempDir private Path folder;

  private Terminal terminal(boolean color) {
    return new Terminal(
        new PrintStream(out, true, StandardCharsets.UTF_8),
        new PrintStream(err, true, StandardCharsets.UTF_8),
        color,
        color,
        80);
  }

  private int run(Callable<Integer> work, String... arguments) {
    List<CommandGroup> groups = List.of(new CommandGroup("Tests", List.of(new Work(work))));
    return Main.run(terminal(false), groups, folder, arguments);
  }

  private String out() {
    return out.toString(StandardCharsets.UTF_8);
  }

  private String err() {
    return err.toString(StandardCharsets.UTF_8);
  }

  /** A command that does what the test says. */
  @Command(name = "work", description = "Does the work.")
  private static final class Work implements Callable<Integer> {
    private final Callable<Integer> work;

    @Option(names = "--steps")
    private int steps;

    Work(Callable<Integer> work) {
      this.work = work;
    }

    @Override
    public Integer call() throws Exception {
      return steps + work.call();
    }
  }

  @Test
  void the_status_is_what_the_command_returns() {
    assertEquals(4, run(() -> 1, "work", "--steps", "3"));
    assertEquals("", out() + err());
  }

  @Test
  void help_lists_the_commands_by_group_and_the_exit_codes() {
    assertEquals(0, Main.run(terminal(false), "--help"));
    assertTrue(out().contains("This machine:\n  doctor "), out());
    assertTrue(out().contains("\n  130   interrupted"), out());
    assertEquals("", err());
  }

  @Test
  void the_version_is_that_of_the_build() {
    assertEquals(0, Main.run(terminal(false), "--version"));
    assertTrue(out().matches("(?s)kif \\d+\\.\\d+\\.\\d+.*\\R.*Java 25.*"), out());
  }

  @Test
  void no_command_at_all_shows_the_help_as_an_error() {
    assertEquals(2, Main.run(terminal(false)));
    assertEquals("", out());
    assertTrue(err().startsWith("Usage: kif"), err());
  }

  @Test
  void a_misspelt_command_gets_a_suggestion() {
    assertEquals(2, Main.run(terminal(false), "doctro"));
    assertTrue(err().contains("Did you mean") && err().contains("doctor"), err());
    assertTrue(err().contains("Try 'kif --help'."), err());
  }

  @Test
  void a_wrong_option_names_the_command_whose_help_to_read() {
    assertEquals(2, run(() -> 0, "work", "--steps", "many"));
    assertTrue(err().startsWith("kif: error: "), err());
    assertTrue(err().contains("Try 'kif work --help'."), err());
  }

  @Test
  void an_input_error_is_one_line_without_a_stack_trace() {
    int status =
        run(
            () -> {
              throw InputException.expected(
                  "m/config.json: d_model", "a multiple of 8", 65, "use another model");
            },
            "work");
    assertEquals(2, status);
    assertEquals(
        "kif: error: m/config.json: d_model: expected a multiple of 8, found 65; use another model"
            + System.lineSeparator(),
        err());
  }

  @Test
  void stacktrace_shows_where_an_input_error_arose() {
    int status =
        run(
            () -> {
              throw new InputException("bad");
            },
            "work",
            "--stacktrace");
    assertEquals(2, status);
    assertTrue(err().contains("at io.github.recurrentkif"), err());
    assertTrue(err().endsWith("kif: error: bad" + System.lineSeparator()), err());
  }

  @Test
  void a_missing_file_is_named() {
    assertEquals(2, run(() -> Files.readString(folder.resolve("none")).length(), "work"));
    assertEquals(
        "kif: error: " + folder.resolve("none") + ": no such file or folder", err().strip());
  }

  @Test
  void an_unchecked_io_error_reads_like_the_one_inside() {
    int status =
        run(
            () -> {
              throw new UncheckedIOException(new NoSuchFileException("some.file"));
            },
            "work");
    assertEquals(2, status);
    assertEquals("kif: error: some.file: no such file or folder", err().strip());
  }

  @Test
  void anything_else_is_a_bug_whose_stack_trace_lies_in_a_file() throws IOException {
    int status =
        run(
            () -> {
              throw new IllegalStateException("ouch");
            },
            "work");
    assertEquals(70, status);
    Path file;
    try (var files = Files.list(folder)) {
      file = files.findFirst().orElseThrow();
    }
    assertEquals("kif: bug: java.lang.IllegalStateException: ouch; see " + file, err().strip());
    String text = Files.readString(file);
    assertTrue(text.contains("kif work") && text.contains("at io.github.recurrentkif"), text);
  }

  @Test
  void an_error_of_the_virtual_machine_is_reported_too() {
    int status =
        run(
            () -> {
              throw new UnsatisfiedLinkError("no such library");
            },
            "work");
    assertEquals(70, status);
    assertTrue(err().startsWith("kif: bug: java.lang.UnsatisfiedLinkError"), err());
  }

  @Test
  void lack_of_memory_says_how_to_give_more() {
    int status =
        run(
            () -> {
              throw new OutOfMemoryError("Java heap space");
            },
            "work");
    assertEquals(2, status);
    assertTrue(err().contains("KIF_JAVA_OPTIONS"), err());
  }

  @Test
  void a_cancelled_command_ends_as_if_interrupted() {
    int status =
        run(
            () -> {
              throw new CancellationException();
            },
            "work");
    assertEquals(130, status);
  }

  @Test
  void colours_appear_only_where_they_are_wanted() {
    Main.run(terminal(false), "doctor");
    assertFalse(out().contains("\u001b"), out());
    Main.run(terminal(true), "doctor");
    assertTrue(out().contains("\u001b"), out());
  }

  @Test
  void completion_is_a_script_that_knows_the_commands() {
    assertEquals(0, Main.run(terminal(false), "completion"));
    assertTrue(out().contains("doctor"), out());
  }
}
