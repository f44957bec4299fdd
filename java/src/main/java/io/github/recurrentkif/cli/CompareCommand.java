package io.github.recurrentkif.cli;

import io.github.recurrentkif.experiment.RunGroups;
import io.github.recurrentkif.experiment.RunGroups.Group;
import io.github.recurrentkif.experiment.RunGroups.Measure;
import io.github.recurrentkif.experiment.RunSummary;
import io.github.recurrentkif.memory.InputException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code kif compare}: finished runs side by side. */
@Command(
    name = "compare",
    description =
        "Put finished runs side by side: means and spread over seeds, by method and settings.")
final class CompareCommand implements Callable<Integer> {

  /** How the table is written. */
  enum Format {
    TEXT,
    MARKDOWN,
    LATEX,
    CSV
  }

  private static final List<Measure> TESTED = List.of(Measure.OP, Measure.BWT);

  private final Terminal terminal;

  @Parameters(
      arity = "1..*",
      paramLabel = "RUN",
      description =
          "Run folders, or folders that hold runs. Others are tested against the method of the"
              + " first.")
  private List<Path> folders = List.of();

  @Option(
      names = "--format",
      paramLabel = "FORMAT",
      defaultValue = "TEXT",
      description = "text, markdown, latex or csv (default: text).")
  private Format format = Format.TEXT;

  @Option(
      names = "--test",
      paramLabel = "TEST",
      defaultValue = "T",
      description = "Of paired differences: t or wilcoxon (default: t).")
  private RunGroups.Test test = RunGroups.Test.T;

  @Option(
      names = "--across-streams",
      description = "Also take means over runs that learned different orders, data or models.")
  private boolean acrossStreams;

  CompareCommand(Terminal terminal) {
    this.terminal = terminal;
  }

  @Override
  public Integer call() {
    List<RunSummary> finished = new ArrayList<>();
    for (Path folder : folders) {
      List<RunSummary> found = RunSummary.below(folder);
      if (found.isEmpty()) {
        throw new InputException(folder + ": holds no run; 'kif runs' lists those there are");
      }
      for (RunSummary run : found) {
        if (run.state() == RunSummary.State.FINISHED) {
          finished.add(run);
        } else {
          terminal
              .err()
              .println(
                  "note: "
                      + run.folder()
                      + " is left out: it is "
                      + run.state().name().toLowerCase(Locale.ROOT));
        }
      }
    }
    if (finished.isEmpty()) {
      throw new InputException("none of these runs is finished; 'kif runs' says how to go on");
    }
    RunGroups groups = RunGroups.of(finished, acrossStreams);
    terminal.out().print(render(groups, format, test));
    return ExitCode.OK;
  }

  static String render(RunGroups groups, Format format, RunGroups.Test test) {
    Map<Measure, List<OptionalDouble>> significance = new EnumMap<>(Measure.class);
    TESTED.forEach(measure -> significance.put(measure, groups.significance(measure, test)));
    if (format == Format.CSV) {
      return csv(groups, significance);
    }
    boolean tested =
        significance.values().stream().flatMap(List::stream).anyMatch(OptionalDouble::isPresent);
    List<String> header = new ArrayList<>(List.of("method", "runs"));
    for (Measure measure : Measure.values()) {
      header.add(name(measure) + " %");
      if (tested && TESTED.contains(measure)) {
        header.add("p");
      }
    }
    List<List<String>> rows = new ArrayList<>();
    for (int i = 0; i < groups.groups().size(); i++) {
      Group group = groups.groups().get(i);
      List<String> row = new ArrayList<>();
      row.add(group.label());
      row.add(String.valueOf(group.runs().size()));
      for (Measure measure : Measure.values()) {
        row.add(spread(group, measure, format));
        if (tested && TESTED.contains(measure)) {
          row.add(p(significance.getOrDefault(measure, List.of()).get(i)));
        }
      }
      rows.add(row);
    }
    return switch (format) {
      case TEXT, CSV -> text(header, rows) + "\n" + notes(groups, test, tested, "");
      case MARKDOWN -> markdown(header, rows) + "\n" + notes(groups, test, tested, "");
      case LATEX -> latex(header, rows) + notes(groups, test, tested, "% ");
    };
  }

  private static String name(Measure measure) {
    return measure == Measure.FORGETTING ? "forgetting" : measure.name();
  }

  private static String spread(Group group, Measure measure, Format format) {
    OptionalDouble mean = group.mean(measure);
    if (mean.isEmpty()) {
      return "-";
    }
    String text = percent(mean.getAsDouble());
    OptionalDouble deviation = group.deviation(measure);
    if (deviation.isEmpty()) {
      return format == Format.LATEX ? "$" + text + "$" : text;
    }
    String spread = percent(deviation.getAsDouble());
    return format == Format.LATEX ? "$" + text + " \\pm " + spread + "$" : text + " ± " + spread;
  }

  private static String percent(double share) {
    String text = String.format(Locale.ROOT, "%.1f", 100 * share);
    return text.equals("-0.0") ? "0.0" : text;
  }

  private static String p(OptionalDouble p) {
    if (p.isEmpty()) {
      return "";
    }
    return p.getAsDouble() < 0.001 ? "<0.001" : String.format(Locale.ROOT, "%.3f", p.getAsDouble());
  }

  private static String text(List<String> header, List<List<String>> rows) {
    Table table = new Table(header.toArray(String[]::new));
    rows.forEach(row -> table.row(row.toArray()));
    return table.toString();
  }

  private static String markdown(List<String> header, List<List<String>> rows) {
    StringBuilder text = new StringBuilder();
    text.append("| ").append(String.join(" | ", header)).append(" |\n|");
    header.forEach(_ -> text.append(" --- |"));
    text.append('\n');
    rows.forEach(
        row ->
            text.append("| ")
                .append(String.join(" | ", row).replace("|  |", "| |"))
                .append(" |\n"));
    return text.toString();
  }

  private static String latex(List<String> header, List<List<String>> rows) {
    StringBuilder text = new StringBuilder();
    text.append("\\begin{tabular}{l")
        .append("r".repeat(header.size() - 1))
        .append("}\n\\toprule\n");
    text.append(String.join(" & ", header.stream().map(CompareCommand::escaped).toList()));
    text.append(" \\\\\n\\midrule\n");
    for (List<String> row : rows) {
      List<String> cells = new ArrayList<>(row);
      cells.set(0, escaped(row.getFirst()));
      text.append(String.join(" & ", cells).replace("<0.001", "$<0.001$")).append(" \\\\\n");
    }
    return text.append("\\bottomrule\n\\end{tabular}\n").toString();
  }

  private static String escaped(String text) {
    return text.replace("%", "\\%").replace("_", "\\_").replace("&", "\\&");
  }

  private static String notes(
      RunGroups groups, RunGroups.Test test, boolean tested, String prefix) {
    List<String> notes = new ArrayList<>();
    Group first = groups.groups().getFirst();
    if (groups.groups().stream().anyMatch(group -> group.runs().size() > 1)) {
      notes.add("mean ± standard deviation over runs that differ in their seed");
    }
    if (groups.streams() > 1) {
      notes.add("mixed: the runs learned " + groups.streams() + " different streams");
    }
    int others = groups.groups().size() - 1;
    if (tested) {
      notes.add(
          "p: difference to %s, %s on runs of equal seed, two-sided%s"
              .formatted(
                  first.label(),
                  test == RunGroups.Test.T ? "paired t-test" : "Wilcoxon's signed ranks",
                  others > 1 ? ", corrected for " + others + " comparisons (Holm)" : ""));
    }
    Map<Integer, List<String>> tooFew = new TreeMap<>();
    for (Group group : groups.groups().subList(1, groups.groups().size())) {
      int pairs = groups.pairs(group, first);
      if (pairs < test.pairs()) {
        tooFew.computeIfAbsent(pairs, _ -> new ArrayList<>()).add(group.label());
      }
    }
    tooFew.forEach(
        (pairs, labels) ->
            notes.add(
                "no p for %s: %d %s in common with %s, %d are needed"
                    .formatted(
                        labels.size() == others && others > 1
                            ? "any other"
                            : String.join(", ", labels),
                        pairs,
                        pairs == 1 ? "seed" : "seeds",
                        first.label(),
                        test.pairs())));
    StringBuilder text = new StringBuilder();
    notes.forEach(note -> text.append(prefix).append(note).append('\n'));
    return text.toString();
  }

  /** All digits, in shares of 1, for programs. */
  private static String csv(RunGroups groups, Map<Measure, List<OptionalDouble>> significance) {
    StringBuilder text = new StringBuilder("method,runs");
    for (Measure measure : Measure.values()) {
      String name = name(measure).toLowerCase(Locale.ROOT);
      text.append(",%s_mean,%s_sd".formatted(name, name));
      if (TESTED.contains(measure)) {
        text.append(",").append(name).append("_p");
      }
    }
    text.append('\n');
    for (int i = 0; i < groups.groups().size(); i++) {
      Group group = groups.groups().get(i);
      text.append('"').append(group.label().replace("\"", "\"\"")).append("\",");
      text.append(group.runs().size());
      for (Measure measure : Measure.values()) {
        text.append(',').append(number(group.mean(measure)));
        text.append(',').append(number(group.deviation(measure)));
        if (TESTED.contains(measure)) {
          text.append(',');
          text.append(number(significance.getOrDefault(measure, List.of()).get(i)));
        }
      }
      text.append('\n');
    }
    return text.toString();
  }

  private static String number(OptionalDouble value) {
    return value.isPresent() ? String.valueOf(value.getAsDouble()) : "";
  }
}
