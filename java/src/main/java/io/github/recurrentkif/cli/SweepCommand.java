package io.github.recurrentkif.cli;

import io.github.recurrentkif.experiment.BackendRequest;
import io.github.recurrentkif.experiment.FolderLock;
import io.github.recurrentkif.experiment.RunGroups;
import io.github.recurrentkif.experiment.RunRequest;
import io.github.recurrentkif.experiment.RunSummary;
import io.github.recurrentkif.experiment.Settings;
import io.github.recurrentkif.experiment.report.Report;
import io.github.recurrentkif.experiment.sweep.Calibration;
import io.github.recurrentkif.experiment.sweep.Needs;
import io.github.recurrentkif.experiment.sweep.PlannedRun;
import io.github.recurrentkif.experiment.sweep.SlurmScript;
import io.github.recurrentkif.experiment.sweep.Speeds;
import io.github.recurrentkif.experiment.sweep.Sweep;
import io.github.recurrentkif.experiment.sweep.SweepFolder;
import io.github.recurrentkif.experiment.sweep.SweepPlan;
import io.github.recurrentkif.memory.AtomicFile;
import io.github.recurrentkif.memory.CacheFolder;
import io.github.recurrentkif.memory.InputException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code kif sweep}: many runs from one file. */
@Command(
    name = "sweep",
    sortOptions = false,
    description =
        "Carry out every combination of methods, orders, seeds and settings that a file names, and"
            + " compare them. The same command goes on with a sweep that was stopped.")
final class SweepCommand implements Callable<Integer> {

  private static final double GIB = 1L << 30;

  private final Terminal terminal;

  @Parameters(
      paramLabel = "FILE",
      description =
          "A configuration file of a run ('kif config' prints one), and below 'grid:' lists of"
              + " methods, orders, seeds and settings.")
  private Path file;

  @Option(names = "--model", paramLabel = "DIR", description = "As of kif train.")
  private @Nullable Path model;

  @Option(names = "--data", paramLabel = "DIR", description = "As of kif train.")
  private @Nullable Path data;

  @Option(
      names = "--output",
      paramLabel = "SWEEP",
      description = "The folder for everything the sweep writes; what is there is gone on with.")
  private @Nullable Path output;

  @Option(
      names = "--set",
      paramLabel = "KEY=VALUE",
      description = "A setting of all runs; may be repeated.")
  private Map<String, String> settings = new LinkedHashMap<>();

  @Option(
      names = "--workers",
      paramLabel = "N",
      description =
          "Processes at once, at most (default: as many as cores; fewer while memory is short)."
              + " The cores are shared out among them.")
  private @Nullable Integer workers;

  @Option(
      names = "--dry-run",
      description =
          "Only print the plan, with an estimate of time and memory for which a short run of each"
              + " method is measured.")
  private boolean dryRun;

  @Option(
      names = "--unmeasured",
      description = "With --dry-run: count the work, but measure nothing.")
  private boolean unmeasured;

  @Option(
      names = "--only",
      paramLabel = "RUN",
      description =
          "Only this run of the plan, by its name; may be repeated. Several such commands may work"
              + " on one folder at once, on several machines too.")
  private List<String> only = List.of();

  @Option(
      names = "--slurm",
      paramLabel = "SCRIPT",
      description =
          "Only write a script for Slurm with a job for each run; submitted again, it fills gaps.")
  private @Nullable Path slurm;

  @Option(names = "--retry-failed", description = "Also try again the runs that have failed.")
  private boolean retryFailed;

  SweepCommand(Terminal terminal) {
    this.terminal = terminal;
  }

  @Override
  public Integer call() {
    RunRequest typed =
        new RunRequest(
            Optional.ofNullable(model),
            Optional.ofNullable(data),
            Optional.empty(),
            Optional.empty(),
            Optional.ofNullable(output),
            BackendRequest.nothing(),
            settings);
    SweepPlan plan = SweepPlan.read(file, typed);
    SweepFolder folder = new SweepFolder(plan.output());
    if (workers != null && workers < 1) {
      throw new InputException("--workers should be at least 1, got " + workers);
    }
    if (slurm != null) {
      return writeScript(slurm, plan, folder);
    }
    if (dryRun) {
      return show(plan, folder);
    }
    // Until the last line is said: the process ends with the interruption.
    try (Interruption interruption = new Interruption(terminal, SweepCommand::idle)) {
      if (!only.isEmpty()) {
        SweepPlan some = plan.only(only);
        folder.write(plan);
        return end(folder, carryOut(some, folder, true, interruption));
      }
      try (FolderLock _ = folder.take(plan)) {
        Sweep.Outcome outcome = carryOut(plan, folder, retryFailed, interruption);
        compare(plan, folder, outcome);
        return end(folder, outcome);
      }
    }
  }

  private static Path cache() {
    return CacheFolder.ofThisUser().path();
  }

  /** Cores are shared out among as many processes as there is work for. */
  private Sweep.Crew crew(SweepPlan plan, int runs) {
    int cores = Runtime.getRuntime().availableProcessors();
    int threads = plan.runs().getFirst().configuration().settings().get(Settings.THREADS);
    int most = workers != null ? workers : Math.max(1, cores / Math.max(1, threads));
    int count = Math.clamp(runs, 1, most);
    return new Sweep.Crew(count, threads > 0 ? threads : Math.max(1, cores / count));
  }

  private static List<PlannedRun> toDo(SweepPlan plan, SweepFolder folder, boolean retry) {
    return plan.runs().stream()
        .filter(run -> !state(folder, run).equals("finished"))
        .filter(run -> retry || folder.reason(run).isEmpty())
        .toList();
  }

  private static String state(SweepFolder folder, PlannedRun run) {
    Optional<RunSummary> summary = folder.summary(run);
    if (summary.isPresent() && summary.get().state() == RunSummary.State.FINISHED) {
      return "finished";
    }
    if (folder.reason(run).isPresent()) {
      return "failed";
    }
    return summary.map(s -> s.state().name().toLowerCase(Locale.ROOT)).orElse("new");
  }

  private Sweep.Outcome carryOut(
      SweepPlan plan, SweepFolder folder, boolean retry, Interruption interruption) {
    Map<PlannedRun, Needs> needs = Needs.prepare(plan, folder, cache());
    List<PlannedRun> toDo = toDo(plan, folder, retry);
    Sweep.Crew crew = crew(plan, toDo.size());
    terminal
        .err()
        .println(
            "%s, %d to do, %s of %s; whatever stops it, the same command goes on"
                .formatted(
                    counted(plan.runs().size(), "run", "runs"),
                    toDo.size(),
                    counted(crew.workers(), "process", "processes"),
                    counted(crew.threads(), "thread", "threads")));
    try (SweepView view = new SweepView(terminal)) {
      interruption.workBegins(view::notice);
      return new Sweep(plan, folder, needs, crew, OwnProcess::start, view, interruption).run(retry);
    }
  }

  private static String idle() {
    return "kif: stopped before any run went on; the same command goes on";
  }

  private static String counted(int count, String one, String many) {
    return count + " " + (count == 1 ? one : many);
  }

  private int end(SweepFolder folder, Sweep.Outcome outcome) {
    if (outcome.interrupted()) {
      terminal.err().println("kif: stopped; the same command goes on");
      return ExitCode.INTERRUPTED;
    }
    if (!outcome.unfinished().isEmpty()) {
      terminal
          .err()
          .println(
              "kif: %s stopped by somebody; the same command goes on"
                  .formatted(counted(outcome.unfinished().size(), "run was", "runs were")));
    }
    if (!outcome.failed().isEmpty()) {
      terminal.err().println("\n" + counted(outcome.failed().size(), "run", "runs") + " failed:");
      for (PlannedRun run : outcome.failed()) {
        terminal
            .err()
            .println(
                "  %s: %s\n    log: %s"
                    .formatted(run.name(), folder.reason(run).orElse(""), folder.log(run)));
      }
      terminal
          .err()
          .println("the same command with --retry-failed tries them again; the others are kept");
    }
    return outcome.failed().isEmpty() && outcome.unfinished().isEmpty()
        ? ExitCode.OK
        : ExitCode.CHECK_FAILED;
  }

  /** The table of what is finished, on the screen and in the folder. */
  private void compare(SweepPlan plan, SweepFolder folder, Sweep.Outcome outcome) {
    if (outcome.finished().isEmpty()) {
      return;
    }
    List<RunSummary> finished =
        outcome.finished().stream().flatMap(run -> folder.summary(run).stream()).toList();
    RunGroups groups = RunGroups.of(finished, true);
    StringBuilder markdown = new StringBuilder();
    markdown.append(CompareCommand.render(groups, CompareCommand.Format.MARKDOWN, TEST));
    terminal.out().print("\n" + CompareCommand.render(groups, CompareCommand.Format.TEXT, TEST));
    if (plan.orders().size() > 1) {
      for (String order : plan.orders()) {
        List<RunSummary> ofOrder =
            outcome.finished().stream()
                .filter(run -> run.order().equals(order))
                .flatMap(run -> folder.summary(run).stream())
                .toList();
        if (!ofOrder.isEmpty()) {
          RunGroups one = RunGroups.of(ofOrder, true);
          markdown
              .append("\n### ")
              .append(order)
              .append("\n\n")
              .append(CompareCommand.render(one, CompareCommand.Format.MARKDOWN, TEST));
        }
      }
    }
    write(folder, "comparison.md", markdown.toString());
    write(folder, "comparison.csv", CompareCommand.render(groups, CompareCommand.Format.CSV, TEST));
    Path page = folder.path().resolve("report.html");
    Report.of(List.of(folder.path())).write(page);
    terminal.out().println("\ntable: " + folder.path().resolve("comparison.md"));
    terminal.out().println("report: " + page);
  }

  private static final RunGroups.Test TEST = RunGroups.Test.T;

  private static void write(SweepFolder folder, String name, String text) {
    AtomicFile.write(folder.path().resolve(name), text.getBytes(StandardCharsets.UTF_8));
  }

  private int writeScript(Path script, SweepPlan plan, SweepFolder folder) {
    Map<PlannedRun, Needs> needs = Needs.prepare(plan, folder, cache());
    folder.write(plan);
    List<String> command = new ArrayList<>(List.of("sweep", file.toAbsolutePath().toString()));
    command.add("--output=" + plan.output().toAbsolutePath());
    if (model != null) {
      command.add("--model=" + model);
    }
    if (data != null) {
      command.add("--data=" + data);
    }
    settings.forEach((name, value) -> command.add("--set=" + name + "=" + value));
    String text =
        new SlurmScript(plan, needs, folder.speeds())
            .text(
                Path.of("").toAbsolutePath(),
                ShellCommand.kif(command.toArray()),
                folder.path().toAbsolutePath());
    try {
      Files.createDirectories(folder.path().resolve("logs"));
      Files.writeString(script, text, StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw InputException.unwritable(script, e);
    }
    terminal.out().println("submit it, also again to fill gaps: sbatch " + script);
    return ExitCode.OK;
  }

  private int show(SweepPlan plan, SweepFolder folder) {
    Map<PlannedRun, Needs> needs = Needs.prepare(plan, folder, cache());
    List<PlannedRun> toDo = toDo(plan, folder, retryFailed);
    Sweep.Crew crew = crew(plan, toDo.size());
    Speeds speeds = folder.speeds();
    List<String> measured = List.of();
    if (!unmeasured) {
      try (Interruption interruption = new Interruption(terminal)) {
        Calibration calibration =
            new Calibration(crew.threads(), OwnProcess::start, terminal.err()::println);
        measured = calibration.measure(toDo, speeds, needs, interruption);
        if (interruption.getAsBoolean()) {
          return ExitCode.INTERRUPTED;
        }
      }
    }
    terminal.out().print(plan(plan, folder, needs, speeds));
    terminal.out().print("\n" + estimate(toDo, needs, crew, speeds, measured));
    return ExitCode.OK;
  }

  private static String plan(
      SweepPlan plan, SweepFolder folder, Map<PlannedRun, Needs> needs, Speeds speeds) {
    Table table =
        new Table("run", "state", "tasks", "samples learned", "answers", "time", "memory");
    for (PlannedRun run : plan.runs()) {
      Needs of = needs.get(run);
      if (of == null) {
        continue;
      }
      String method = run.configuration().method().text();
      var total = of.workload().total();
      OptionalDouble seconds = speeds.seconds(method, total, true);
      table.row(
          run.name(),
          state(folder, run),
          run.configuration().tasks().size(),
          (long) total.learned(),
          (long) total.answered(),
          seconds.isPresent() ? SweepView.readable(seconds.getAsDouble()) : "-",
          memory(of, speeds, method));
    }
    return table.toString();
  }

  private static String memory(Needs needs, Speeds speeds, String method) {
    return String.format(
        Locale.ROOT,
        "%s%.1f GiB",
        speeds.knows(method) ? "" : "> ",
        needs.memory(speeds, method) / GIB);
  }

  private static String estimate(
      List<PlannedRun> toDo,
      Map<PlannedRun, Needs> needs,
      Sweep.Crew crew,
      Speeds speeds,
      List<String> measured) {
    double seconds = 0;
    boolean known = true;
    long weights = 0;
    long memory = 0;
    for (PlannedRun run : toDo) {
      Needs of = needs.get(run);
      if (of == null) {
        continue;
      }
      String method = run.configuration().method().text();
      OptionalDouble one = speeds.seconds(method, of.workload().total(), true);
      known &= one.isPresent();
      seconds += one.orElse(0);
      weights = Math.max(weights, of.weights());
      memory = Math.max(memory, of.memory(speeds, method));
    }
    List<String> lines = new ArrayList<>();
    lines.add(
        "%s to do, by %s of %s"
            .formatted(
                counted(toDo.size(), "run", "runs"),
                counted(crew.workers(), "process", "processes"),
                counted(crew.threads(), "thread", "threads")));
    if (!toDo.isEmpty()) {
      lines.add(
          known
              ? "time: about %s, if the processes do not slow each other down"
                  .formatted(SweepView.readable(seconds / crew.workers()))
              : "time: unknown, since nothing was measured; without --unmeasured it is");
      lines.add(
          String.format(
              Locale.ROOT,
              "memory: about %.1f GiB, %.1f for each process and %.1f of weights that all share",
              (crew.workers() * memory + weights) / GIB,
              memory / GIB,
              weights / GIB));
    }
    lines.addAll(measured);
    if (known && measured.isEmpty() && !toDo.isEmpty()) {
      lines.add("both rest on what the runs in this folder took so far");
    }
    return String.join("\n", lines) + "\n";
  }
}
