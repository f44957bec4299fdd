package io.github.recurrentkif.cli;

import io.github.recurrentkif.experiment.RunSummary;
import io.github.recurrentkif.experiment.report.Report;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code kif report}: runs as one page to look at. */
@Command(
    name = "report",
    description =
        "Write one HTML page on runs: what was learned and forgotten, how training went, where the"
            + " important parameters are, what it cost, in what the runs differ.")
final class ReportCommand implements Callable<Integer> {

  private final Terminal terminal;

  @Parameters(
      arity = "1..*",
      paramLabel = "RUN",
      description = "Run folders, or folders that hold runs, finished or not.")
  private List<Path> folders = List.of();

  @Option(
      names = "--output",
      paramLabel = "FILE",
      defaultValue = "report.html",
      description = "The page (default: ${DEFAULT-VALUE}); it needs no other file and no network.")
  private Path output;

  ReportCommand(Terminal terminal) {
    this.terminal = terminal;
  }

  @Override
  public Integer call() {
    Report report = Report.of(folders);
    for (RunSummary run : report.runs()) {
      if (run.state() != RunSummary.State.FINISHED) {
        String state = run.state().name().toLowerCase(Locale.ROOT);
        terminal.err().println("note: " + run.folder() + " is " + state + ": it is in no mean");
      }
    }
    report.write(output);
    terminal.out().println("report: " + output);
    return ExitCode.OK;
  }
}
