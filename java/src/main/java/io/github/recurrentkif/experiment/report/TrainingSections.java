package io.github.recurrentkif.experiment.report;

import static io.github.recurrentkif.experiment.report.Markup.figure;

import io.github.recurrentkif.experiment.RunHistory;
import io.github.recurrentkif.experiment.RunHistory.Counts;
import io.github.recurrentkif.experiment.RunHistory.Fusion;
import io.github.recurrentkif.experiment.RunHistory.Step;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import java.util.function.ToDoubleFunction;
import java.util.stream.DoubleStream;

/** How one run went: loss, learning rate, and what its fusions found important. */
final class TrainingSections {

  /** Points that a curve of this size can show. */
  private static final int POINTS = 240;

  private TrainingSections() {}

  /** Where tasks end, for plots over updates. */
  static SequencedMap<String, Double> ends(RunHistory history) {
    SequencedMap<String, Double> ends = new LinkedHashMap<>();
    history.tasks().forEach((task, step) -> ends.put(task, (double) step));
    return ends;
  }

  private static Axis updates(RunHistory history) {
    return Axis.linear(
        "updates on new data",
        0,
        history.updates().isEmpty() ? 1 : (double) history.updates().getLast().step());
  }

  /** Means over stretches of steps, so that a long run stays readable. */
  private static List<Plot.Point> averaged(List<Step> steps, ToDoubleFunction<Step> value) {
    List<Plot.Point> points = new ArrayList<>();
    int each = Math.max(1, (int) Math.ceil(steps.size() / (double) POINTS));
    for (int from = 0; from < steps.size(); from += each) {
      List<Step> part = steps.subList(from, Math.min(from + each, steps.size()));
      double[] values = part.stream().mapToDouble(value).filter(Double::isFinite).toArray();
      if (values.length > 0) {
        points.add(
            new Plot.Point(
                part.stream().mapToLong(Step::step).average().orElseThrow(),
                DoubleStream.of(values).average().orElseThrow()));
      }
    }
    return points;
  }

  /** Loss on new and on replayed data, and below it the learning rate. */
  static String loss(String label, RunHistory history) {
    List<Plot.Point> fresh = averaged(history.updates(), Step::loss);
    List<Plot.Point> replayed = averaged(history.replays(), Step::loss);
    double[] positive =
        DoubleStream.concat(
                fresh.stream().mapToDouble(Plot.Point::y),
                replayed.stream().mapToDouble(Plot.Point::y))
            .filter(loss -> loss > 0)
            .toArray();
    if (positive.length == 0) {
      return "";
    }
    double low = DoubleStream.of(positive).min().orElseThrow();
    double high = DoubleStream.of(positive).max().orElseThrow();
    Plot losses =
        new Plot(
                "loss of " + label,
                updates(history),
                Axis.logarithmic(
                    "loss (nats per token, logarithmic)", Math.max(low, high * 1e-6), 4 * high))
            .tasks(ends(history))
            .line(fresh, "stroke:var(--new)")
            .line(replayed, "stroke:var(--old)");
    Plot rate =
        new Plot(
                "learning rate of " + label,
                Plot.WIDTH,
                120,
                updates(history),
                Axis.linear(
                    "learning rate",
                    0,
                    history.updates().stream()
                        .mapToDouble(Step::learningRate)
                        .filter(Double::isFinite)
                        .max()
                        .orElse(1)))
            .line(averaged(history.updates(), Step::learningRate), "stroke:var(--ink)");
    return figure(label, losses.svg() + rate.svg(), "");
  }

  /** How the parameters fall into the classes of a fusion, over time. */
  static String classes(String label, RunHistory history) {
    List<Fusion> fusions = history.fusions();
    if (fusions.isEmpty()) {
      return "";
    }
    Plot plot =
        new Plot(
            "what parameters are important to, " + label,
            updates(history),
            Axis.percent("share of all parameters, %"));
    List<ToDoubleFunction<Counts>> classes =
        List.of(Counts::shared, Counts::newOnly, Counts::oldOnly, Counts::redundant);
    List<String> colours = List.of("--shared", "--new", "--old", "--redundant");
    int each = Math.max(1, (int) Math.ceil(fusions.size() / (double) POINTS));
    List<Plot.Point> lower = new ArrayList<>();
    for (int from = 0; from < fusions.size(); from += each) {
      lower.add(new Plot.Point(middle(fusions, from, each), 0));
    }
    for (int i = 0; i < classes.size(); i++) {
      List<Plot.Point> upper = new ArrayList<>();
      for (int part = 0; part < lower.size(); part++) {
        int from = part * each;
        ToDoubleFunction<Counts> which = classes.get(i);
        double share =
            fusions.subList(from, Math.min(from + each, fusions.size())).stream()
                .mapToDouble(
                    fusion ->
                        which.applyAsDouble(fusion.all()) / Math.max(1, fusion.all().elements()))
                .average()
                .orElse(0);
        upper.add(new Plot.Point(lower.get(part).x(), lower.get(part).y() + share));
      }
      plot.band(lower, upper, "fill:var(" + colours.get(i) + ")");
      lower = upper;
    }
    plot.tasks(ends(history));
    return figure(label, plot.svg(), "");
  }

  private static double middle(List<Fusion> fusions, int from, int each) {
    return fusions.subList(from, Math.min(from + each, fusions.size())).stream()
        .mapToLong(Fusion::step)
        .average()
        .orElseThrow();
  }
}
