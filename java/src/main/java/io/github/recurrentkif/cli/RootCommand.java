package io.github.recurrentkif.cli;

import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ScopeType;
import picocli.CommandLine.Spec;

/** {@code kif} itself: what all subcommands have in common. */
@Command(
    name = "kif",
    description = {
      "Continual learning for language models: teaches a model one task after another and keeps"
          + " what it knew."
    },
    versionProvider = Version.class,
    synopsisSubcommandLabel = "COMMAND",
    optionListHeading = "%nOptions:%n",
    exitCodeListHeading = "%nExit codes:%n",
    exitCodeList = {
      "0:success",
      "1:a check failed",
      "2:bad input or usage; the message says what to do",
      "70:a bug in kif; the message says where the details are",
      "130:interrupted"
    },
    footer = {"", "kif COMMAND --help explains a command."})
final class RootCommand implements Callable<Integer> {

  static final String PLAIN = "--plain";

  @Spec private CommandSpec spec;

  @SuppressWarnings("UnusedVariable") // Picocli itself shows the help.
  @Option(
      names = {"-h", "--help"},
      usageHelp = true,
      scope = ScopeType.INHERIT,
      description = "Show this help.")
  private boolean help;

  @SuppressWarnings("UnusedVariable") // Picocli itself shows the version.
  @Option(
      names = {"-V", "--version"},
      versionHelp = true,
      description = "Show the version.")
  private boolean version;

  @Option(
      names = "--stacktrace",
      scope = ScopeType.INHERIT,
      description = "Show where in the code an error arose.")
  private boolean stacktrace;

  @SuppressWarnings("UnusedVariable") // Main looks for it before any command is made.
  @Option(
      names = PLAIN,
      scope = ScopeType.INHERIT,
      description = "Plain lines, nothing rewritten in place.")
  private boolean plain;

  boolean stacktrace() {
    return stacktrace;
  }

  /** No subcommand: shows the help where errors go. */
  @Override
  public Integer call() {
    CommandLine command = spec.commandLine();
    command.usage(command.getErr(), command.getColorScheme());
    return ExitCode.BAD_INPUT;
  }
}
