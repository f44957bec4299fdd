package io.github.recurrentkif.cli;

import io.github.recurrentkif.memory.InputException;
import java.io.IOException;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CancellationException;
import picocli.CommandLine;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.UnmatchedArgumentException;

/**
 * Tells a user what went wrong: one line for what the user can change, and for a bug one line that
 * says where the stack trace was written.
 */
final class ErrorReport {

  private static final String PREFIX = "kif: error: ";

  private final Terminal terminal;
  private final Path folder;

  /**
   * @param folder where stack traces of bugs are written
   */
  ErrorReport(Terminal terminal, Path folder) {
    this.terminal = terminal;
    this.folder = folder;
  }

  /** Reports a command line that cannot be understood. */
  int usage(ParameterException error) {
    CommandLine command = error.getCommandLine();
    PrintStream err = terminal.err();
    err.println(bold(PREFIX) + error.getMessage());
    if (error instanceof UnmatchedArgumentException unmatched) {
      List<String> suggestions = unmatched.getSuggestions();
      if (!suggestions.isEmpty()) {
        err.println("Did you mean " + String.join(", ", suggestions) + "?");
      }
    }
    err.println("Try '" + command.getCommandSpec().qualifiedName() + " --help'.");
    return ExitCode.BAD_INPUT;
  }

  /** Reports what a command threw. */
  int thrown(Throwable error, boolean stacktrace, List<String> arguments) {
    if (stacktrace) {
      terminal.err().print(trace(error));
    }
    return switch (error) {
      case StoppedRun stopped when stopped.getCause() != null -> {
        int status = thrown(stopped.getCause(), false, arguments);
        terminal.err().println("kif: what was done is kept; go on with: " + stopped.command());
        yield status;
      }
      case InputException input -> badInput(String.valueOf(input.getMessage()));
      case UncheckedIOException unchecked when unchecked.getCause() != null ->
          badInput(InputException.reason(unchecked.getCause()));
      case IOException io -> badInput(InputException.reason(io));
      case InterruptedException _ -> interrupted();
      case CancellationException _ -> interrupted();
      case OutOfMemoryError memory ->
          badInput(
              "out of memory ("
                  + memory.getMessage()
                  + "); the Java heap may grow to "
                  + Runtime.getRuntime().maxMemory() / (1 << 20)
                  + " MiB: raise it with KIF_JAVA_OPTIONS=-Xmx8g, or make batches smaller");
      default -> bug(error, stacktrace, arguments);
    };
  }

  private int badInput(String message) {
    terminal.err().println(bold(PREFIX) + message);
    return ExitCode.BAD_INPUT;
  }

  private int interrupted() {
    terminal.err().println("kif: interrupted");
    return ExitCode.INTERRUPTED;
  }

  private int bug(Throwable error, boolean stacktrace, List<String> arguments) {
    String details = stacktrace ? "the stack trace is above" : "see " + write(error, arguments);
    terminal.err().println(bold("kif: bug: ") + error + "; " + details);
    return ExitCode.BUG;
  }

  private String write(Throwable error, List<String> arguments) {
    String text =
        String.join("\n", new Version().getVersion())
            + "\nkif "
            + String.join(" ", arguments)
            + "\n\n"
            + trace(error);
    try {
      Path file = Files.createTempFile(folder, "kif-bug-", ".txt");
      Files.writeString(file, text, StandardCharsets.UTF_8);
      return file.toString();
    } catch (IOException e) {
      return "--stacktrace (" + InputException.reason(e) + ")";
    }
  }

  private static String trace(Throwable error) {
    StringWriter text = new StringWriter();
    error.printStackTrace(new PrintWriter(text, true));
    return text.toString();
  }

  private String bold(String text) {
    return terminal.color() ? "\u001b[1;31m" + text + "\u001b[0m" : text;
  }
}
