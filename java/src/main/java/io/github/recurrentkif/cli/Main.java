package io.github.recurrentkif.cli;

import java.io.PrintWriter;
import java.nio.charset.Charset;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import picocli.CommandLine;
import picocli.CommandLine.Help;

/** The entry point of the command line. */
public final class Main {

  private Main() {}

  static void main(String[] arguments) {
    System.exit(run(Terminal.ofProcess(), arguments));
  }

  /** Runs one command and returns its {@link ExitCode}. */
  public static int run(Terminal terminal, String... arguments) {
    Terminal wanted =
        Arrays.asList(arguments).contains(RootCommand.PLAIN) ? terminal.plain() : terminal;
    return run(wanted, commands(wanted), Path.of(System.getProperty("java.io.tmpdir")), arguments);
  }

  /** All subcommands, in the order the help shows them. */
  private static List<CommandGroup> commands(Terminal terminal) {
    return List.of(
        new CommandGroup(
            "Runs",
            List.of(
                new DemoCommand(terminal),
                new TrainCommand(terminal),
                new TrainCommand.Resume(terminal),
                new ConfigCommand(terminal),
                new RunsCommand(terminal),
                new CompareCommand(terminal),
                new ReportCommand(terminal),
                new SweepCommand(terminal))),
        new CommandGroup(
            "Models",
            List.of(
                new EvaluateCommand(terminal),
                new GenerateCommand(terminal),
                new PrepareCommand(terminal),
                new FuseCommand(terminal))),
        new CommandGroup(
            "Made on the spot",
            List.of(new PretrainCommand(terminal), new GenerateTasksCommand(terminal))),
        new CommandGroup("Trust", List.of(new VerifyCommand(terminal))),
        new CommandGroup(
            "This machine",
            List.of(
                new DoctorCommand(
                    terminal,
                    List.of(
                        new MachineExamination(), new BackendExamination(), new GpuExamination())),
                new BenchCommand(terminal),
                new CompletionCommand(terminal))));
  }

  static int run(
      Terminal terminal, List<CommandGroup> groups, Path bugFolder, String... arguments) {
    RootCommand root = new RootCommand();
    ErrorReport report = new ErrorReport(terminal, bugFolder);
    try {
      CommandLine command = new CommandLine(root);
      String first = arguments.length == 0 ? "" : arguments[0];
      // Completion is about all commands.
      CommandGroup.addTo(
          command,
          first.equals(CompletionCommand.NAME) ? groups : CommandGroup.naming(first, groups));
      command
          .setOut(new PrintWriter(terminal.out(), true, Charset.defaultCharset()))
          .setErr(new PrintWriter(terminal.err(), true, Charset.defaultCharset()))
          .setColorScheme(Help.defaultColorScheme(terminal.ansi()))
          .setUsageHelpWidth(Math.clamp(terminal.width(), 60, 100))
          .setCaseInsensitiveEnumValuesAllowed(true)
          .setParameterExceptionHandler((error, _) -> report.usage(error))
          .setExecutionExceptionHandler(
              (error, _, _) -> report.thrown(error, root.stacktrace(), List.of(arguments)));
      return command.execute(arguments);
    } catch (Throwable error) {
      // Picocli hands over exceptions only; errors such as a missing native library come here.
      return report.thrown(error, root.stacktrace(), List.of(arguments));
    } finally {
      terminal.out().flush();
      terminal.err().flush();
    }
  }
}
