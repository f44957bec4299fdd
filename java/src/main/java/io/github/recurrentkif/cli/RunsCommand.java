package io.github.recurrentkif.cli;

import io.github.recurrentkif.experiment.RunConfiguration;
import io.github.recurrentkif.experiment.RunSummary;
import io.github.recurrentkif.experiment.RunSummary.State;
import io.github.recurrentkif.experiment.Settings;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;

/** {@code kif runs}: lists run folders. */
@Command(
    name = "runs",
    description = "List runs: what they are doing, how far they are, how to go on with them.")
final class RunsCommand implements Callable<Integer> {

  private final Terminal terminal;

  @Parameters(
      paramLabel = "DIR",
      defaultValue = "runs",
      description = "The folder to look in, and below (default: ${DEFAULT-VALUE}).")
  private Path folder;

  @Option(names = "--json", description = "As JSON, for programs.")
  private boolean json;

  RunsCommand(Terminal terminal) {
    this.terminal = terminal;
  }

  @Override
  public Integer call() {
    List<RunSummary> runs = RunSummary.below(folder);
    if (json) {
      terminal.out().println(json(runs));
    } else {
      terminal.out().print(text(folder, runs, Instant.now()));
    }
    return ExitCode.OK;
  }

  static String text(Path folder, List<RunSummary> runs, Instant now) {
    if (runs.isEmpty()) {
      return "no runs in " + folder + "; '" + ShellCommand.kif("train") + "' begins one\n";
    }
    Table table = new Table("run", "state", "method", "tasks", "OP %", "BWT %", "changed");
    List<String> notes = new ArrayList<>();
    for (RunSummary run : runs) {
      boolean finished = run.state() == State.FINISHED;
      table.row(
          run.folder().equals(folder) ? folder : folder.relativize(run.folder()),
          state(run),
          run.configuration().map(configuration -> configuration.method().text()).orElse("-"),
          run.configuration().map(c -> run.tasksDone() + " of " + c.tasks().size()).orElse("-"),
          finished ? percent(run.matrix().overallPerformance()) : "-",
          finished ? percent(run.matrix().backwardTransfer()) : "-",
          age(Duration.between(run.changed(), now)));
      switch (run.state()) {
        case STOPPED -> notes.add("go on with: " + ShellCommand.kif("resume", run.folder()));
        case UNREADABLE -> notes.add(run.problem());
        case RUNNING, FINISHED -> {}
      }
    }
    return table + (notes.isEmpty() ? "" : "\n" + String.join("\n", notes) + "\n");
  }

  private static String state(RunSummary run) {
    String state = run.state().name().toLowerCase(Locale.ROOT);
    return run.update() > 0 ? state + ", update " + run.update() : state;
  }

  private static String percent(OptionalDouble value) {
    return value.isPresent() ? String.format(Locale.ROOT, "%.1f", 100 * value.getAsDouble()) : "-";
  }

  /** {@code 3 min ago}; a clock that was set back makes nothing younger than now. */
  static String age(Duration age) {
    long seconds = Math.max(0, age.toSeconds());
    if (seconds < 60) {
      return seconds + " s ago";
    }
    if (seconds < 3600) {
      return seconds / 60 + " min ago";
    }
    if (seconds < 48 * 3600) {
      return seconds / 3600 + " h ago";
    }
    return seconds / (24 * 3600) + " days ago";
  }

  private static String json(List<RunSummary> runs) {
    List<Map<String, Object>> all = new ArrayList<>();
    for (RunSummary run : runs) {
      Map<String, @Nullable Object> one = new LinkedHashMap<>();
      one.put("folder", run.folder().toString());
      one.put("state", run.state().name().toLowerCase(Locale.ROOT));
      RunConfiguration configuration = run.configuration().orElse(null);
      if (configuration == null) {
        one.put("problem", run.problem());
      } else {
        one.put("method", configuration.method().text());
        one.put("seed", configuration.settings().get(Settings.SEED));
        one.put("tasks", configuration.tasks());
        one.put("tasks_done", run.tasksDone());
        one.put("update", run.update());
        one.put("overall_performance", orNull(run.matrix().overallPerformance()));
        one.put("backward_transfer", orNull(run.matrix().backwardTransfer()));
      }
      one.put("changed", run.changed().toString());
      if (run.state() == State.STOPPED) {
        one.put("resume", List.of("kif", "resume", run.folder().toString()));
      }
      all.add(one);
    }
    return JsonMapper.builder()
        .enable(SerializationFeature.INDENT_OUTPUT)
        .build()
        .writeValueAsString(all);
  }

  private static @Nullable Double orNull(OptionalDouble value) {
    return value.isPresent() ? value.getAsDouble() : null;
  }
}
