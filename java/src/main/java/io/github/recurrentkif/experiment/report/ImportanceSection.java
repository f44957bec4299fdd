package io.github.recurrentkif.experiment.report;

import static io.github.recurrentkif.experiment.report.Markup.figure;

import io.github.recurrentkif.experiment.RunHistory;
import io.github.recurrentkif.experiment.RunHistory.Counts;
import io.github.recurrentkif.experiment.RunHistory.Fusion;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.function.Function;
import java.util.function.ToDoubleFunction;

/** Where in the model the important parameters are, and how that shifts from cycle to cycle. */
final class ImportanceSection {

  /** Columns of a heat map; several cycles share one where there are more. */
  private static final int COLUMNS = 80;

  private final String label;
  private final RunHistory history;
  private final List<Fusion> fusions;

  ImportanceSection(String label, RunHistory history) {
    this.label = label;
    this.history = history;
    this.fusions =
        history.fusions().stream().filter(fusion -> !fusion.byTensor().isEmpty()).toList();
  }

  boolean isEmpty() {
    return fusions.isEmpty();
  }

  String html(boolean explained) {
    StringBuilder html = new StringBuilder("<div class=\"maps\">\n");
    html.append(
        map(
            "to the new task",
            Counts::toNew,
            explained
                ? ("Of each layer’s parameters, the share that lies above the threshold, over the"
                        + " cycles of fusion. If importance were spread evenly, all would have the"
                        + " share of the whole model, %s %%. A strong row carries more than its"
                        + " part; a row that changes its shade is where importance moves.")
                    .formatted(Markup.percent(mean(Counts::toNew)))
                : ""));
    html.append(
        map(
            "to the history",
            Counts::toOld,
            explained
                ? ("The same, estimated on memory (whole model %s %%). Rows that are strong here"
                        + " and pale on the new task are where old knowledge can be kept apart from"
                        + " new.")
                    .formatted(Markup.percent(mean(Counts::toOld)))
                : ""));
    html.append(shift(explained));
    html.append(kinds(explained));
    return html.append("</div>\n").toString();
  }

  private double mean(ToDoubleFunction<Counts> important) {
    return fusions.stream()
        .mapToDouble(fusion -> important.applyAsDouble(fusion.all()) / fusion.all().elements())
        .average()
        .orElse(0);
  }

  /** Which tensors stand under a name, in the order of the model. */
  private SequencedMap<String, List<Integer>> grouped(Function<ModuleName, String> name) {
    SequencedMap<String, List<Integer>> groups = new LinkedHashMap<>();
    for (int tensor = 0; tensor < history.tensors().size(); tensor++) {
      groups
          .computeIfAbsent(
              name.apply(ModuleName.of(history.tensors().get(tensor).name())),
              _ -> new ArrayList<>())
          .add(tensor);
    }
    return groups;
  }

  private double share(Fusion fusion, List<Integer> tensors, ToDoubleFunction<Counts> important) {
    double count = 0;
    double elements = 0;
    for (int tensor : tensors) {
      count += important.applyAsDouble(fusion.byTensor().get(tensor));
      elements += history.tensors().get(tensor).elements();
    }
    return count / Math.max(1, elements);
  }

  /** The task of a fusion: the first that ends at it or after it. */
  private String task(Fusion fusion) {
    for (Map.Entry<String, Long> end : history.tasks().entrySet()) {
      if (fusion.step() <= end.getValue()) {
        return end.getKey();
      }
    }
    return history.tasks().lastEntry().getKey();
  }

  private String map(String towards, ToDoubleFunction<Counts> important, String caption) {
    SequencedMap<String, List<Integer>> layers = grouped(ModuleName::layer);
    int columns = Math.min(COLUMNS, fusions.size());
    double[][] values = new double[layers.size()][columns];
    List<Integer> boundaries = new ArrayList<>();
    List<String> names = new ArrayList<>();
    for (int column = 0; column < columns; column++) {
      int from = (int) ((long) column * fusions.size() / columns);
      int to = (int) ((column + 1L) * fusions.size() / columns);
      String task = task(fusions.get(from));
      if (names.isEmpty() || !names.getLast().equals(task)) {
        names.add(task);
        if (column > 0) {
          boundaries.add(column);
        }
      }
      int row = 0;
      for (List<Integer> tensors : layers.values()) {
        double sum = 0;
        for (int i = from; i < to; i++) {
          sum += share(fusions.get(i), tensors, important);
        }
        values[row++][column] = sum / (to - from);
      }
    }
    return figure(
        "Important " + towards,
        "<div class=\"scroll\"><div class=\"map\">"
            + HeatMap.dense(
                "share of important parameters by layer and cycle, " + label,
                values,
                List.copyOf(layers.keySet()),
                boundaries,
                names,
                "layer",
                "cycles of fusion, " + fusions.size() + " in all")
            + "</div></div>\n",
        caption);
  }

  /** How the important parameters are spread over the tensors: shares that add up to 1. */
  private static double[] spread(Fusion fusion, ToDoubleFunction<Counts> important) {
    double[] counts = fusion.byTensor().stream().mapToDouble(important).toArray();
    double sum = Arrays.stream(counts).sum();
    return Arrays.stream(counts).map(count -> count / Math.max(1, sum)).toArray();
  }

  /** Half the sum of absolute differences: which part would have to move to make them equal. */
  private static double distance(double[] a, double[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += Math.abs(a[i] - b[i]);
    }
    return sum / 2;
  }

  private String shift(boolean explained) {
    List<Plot.Point> newSince = since(Counts::toNew);
    List<Plot.Point> oldSince = since(Counts::toOld);
    List<Plot.Point> newStep = each(Counts::toNew);
    double high = Math.max(Math.max(most(newSince), most(oldSince)), Math.max(most(newStep), 0.02));
    SequencedMap<String, Double> ends = new LinkedHashMap<>();
    for (int i = 0; i < fusions.size(); i++) {
      ends.put(task(fusions.get(i)), i + 1.0);
    }
    Plot plot =
        new Plot(
                "how far the important parameters move, " + label,
                Axis.linear("cycles of fusion", 0, fusions.size()),
                Axis.linear("moved to other tensors, % of the important", 0, 100 * high * 1.15))
            .tasks(ends)
            .line(newStep, "stroke:var(--new);stroke-width:1;stroke-dasharray:2 2")
            .line(newSince, "stroke:var(--new)")
            .line(oldSince, "stroke:var(--old)");
    return figure(
        "How that shifts",
        plot.svg(),
        explained
            ? "How much of the important parameters lies in other tensors than at the first cycle"
                + " of the same task: orange for the new task, blue for the history. Dotted: than"
                + " one cycle before. High at the dotted line alone is noise; a line that climbs"
                + " within a task is importance that goes stale if it is not estimated anew."
            : "");
  }

  private static double most(List<Plot.Point> points) {
    return points.stream().mapToDouble(Plot.Point::y).max().orElse(0) / 100;
  }

  private List<Plot.Point> since(ToDoubleFunction<Counts> important) {
    List<Plot.Point> points = new ArrayList<>();
    String task = "";
    double[] first = {};
    for (int i = 0; i < fusions.size(); i++) {
      double[] spread = spread(fusions.get(i), important);
      if (!task.equals(task(fusions.get(i)))) {
        task = task(fusions.get(i));
        first = spread;
      }
      points.add(new Plot.Point(i + 0.5, 100 * distance(first, spread)));
    }
    return points;
  }

  private List<Plot.Point> each(ToDoubleFunction<Counts> important) {
    List<Plot.Point> points = new ArrayList<>();
    for (int i = 1; i < fusions.size(); i++) {
      points.add(
          new Plot.Point(
              i + 0.5,
              100
                  * distance(
                      spread(fusions.get(i - 1), important), spread(fusions.get(i), important))));
    }
    return points;
  }

  /** Two bars for each kind of tensor. */
  private String kinds(boolean explained) {
    SequencedMap<String, List<Integer>> kinds = grouped(ModuleName::kind);
    List<Bars.Row> rows = new ArrayList<>();
    kinds.forEach(
        (kind, tensors) ->
            rows.add(
                new Bars.Row(
                    kind,
                    List.of(
                        new Bars.Part("new task", average(tensors, Counts::toNew), "var(--new)"),
                        new Bars.Part("history", average(tensors, Counts::toOld), "var(--old)")))));
    return figure(
        "Kinds of tensors",
        Bars.beside(
            "share of important parameters by kind of tensor, " + label,
            rows,
            "important parameters, % of the kind’s"),
        explained
            ? "Mean over all cycles; orange for the new task, blue for the history. A and B are the"
                + " two factors of an adapter: B begins at zero and lies nearer to the output."
            : "");
  }

  private double average(List<Integer> tensors, ToDoubleFunction<Counts> important) {
    return 100
        * fusions.stream()
            .mapToDouble(fusion -> share(fusion, tensors, important))
            .average()
            .orElse(0);
  }
}
