package io.github.recurrentkif.experiment.report;

import static io.github.recurrentkif.experiment.report.Markup.escape;
import static io.github.recurrentkif.experiment.report.Markup.figure;
import static io.github.recurrentkif.experiment.report.Markup.percent;

import io.github.recurrentkif.experiment.RunGroups;
import io.github.recurrentkif.experiment.RunGroups.Measure;
import io.github.recurrentkif.experiment.RunSummary;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.OptionalDouble;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;

/** What was learned and what was forgotten: measures, curves, matrices. */
final class AccuracySections {

  private static final List<Measure> SHOWN =
      List.of(Measure.OP, Measure.BWT, Measure.FWT, Measure.AAA);

  private AccuracySections() {}

  private static String name(Measure measure) {
    return switch (measure) {
      case OP -> "overall performance (OP)";
      case BWT -> "backward transfer (BWT)";
      case FWT -> "forward transfer (FWT)";
      case AAA -> "average anytime accuracy (AAA)";
      case FORGETTING -> "forgetting";
    };
  }

  /** The table of measures, and each run as a dot where there are several. */
  static String measures(RunGroups groups) {
    StringBuilder html = new StringBuilder("<section id=\"measures\">\n<h2>Measures</h2>\n");
    List<RunGroups.Group> all = groups.groups();
    boolean several = all.stream().anyMatch(group -> group.runs().size() > 1);
    List<OptionalDouble> p = groups.significance(Measure.OP, RunGroups.Test.T);
    boolean tested = p.stream().anyMatch(OptionalDouble::isPresent);
    html.append("<div class=\"scroll\"><table class=\"numbers\">\n<tr><th></th><th>runs</th>");
    html.append("<th>OP %</th>").append(tested ? "<th>p</th>" : "");
    html.append("<th>BWT %</th><th>FWT %</th><th>AAA %</th><th>forgetting %</th></tr>\n");
    for (int i = 0; i < all.size(); i++) {
      RunGroups.Group group = all.get(i);
      html.append(
          "<tr><td><i style=\"background:var(--c%d)\"></i>%s</td><td>%d</td>"
              .formatted(i % 10, escape(group.label()), group.runs().size()));
      for (Measure measure : Measure.values()) {
        html.append("<td>").append(spread(group, measure)).append("</td>");
        if (tested && measure == Measure.OP) {
          html.append("<td>")
              .append(
                  p.get(i).isPresent()
                      ? p.get(i).getAsDouble() < 0.001
                          ? "&lt;0.001"
                          : String.format(Locale.ROOT, "%.3f", p.get(i).getAsDouble())
                      : "")
              .append("</td>");
        }
      }
      html.append("</tr>\n");
    }
    html.append("</table></div>\n<p class=\"note\">");
    html.append(several ? "Mean ± standard deviation over runs (seeds, orders). " : "");
    html.append("OP: mean accuracy over all tasks at the end. BWT: change since each task was");
    html.append(" learned, 0 if nothing is forgotten. FWT: accuracy on each task before it is");
    html.append(" learned. AAA: mean over time of the accuracy on the tasks learned so far.");
    html.append(" Forgetting: loss since each task’s best. Accuracy is exact match.");
    if (tested) {
      html.append(" p: paired t-test of OP against ").append(escape(all.getFirst().label()));
      html.append(" over runs of equal seed and order, corrected for the number of rows (Holm).");
    }
    if (groups.streams() > 1) {
      html.append(" The means are over ").append(groups.streams());
      html.append(" different streams: orders, data or models differ.");
    }
    html.append("</p>\n");
    if (several) {
      html.append(Markup.caption("Each dot is a run, the bar the mean of its row."));
      html.append("<div class=\"charts\">\n");
      SHOWN.forEach(measure -> html.append(strip(all, measure)));
      html.append("</div>\n");
    }
    return html.append("</section>\n").toString();
  }

  private static String spread(RunGroups.Group group, Measure measure) {
    OptionalDouble deviation = group.deviation(measure);
    return percent(group.mean(measure))
        + (deviation.isPresent() ? " ± " + percent(deviation.getAsDouble()) : "");
  }

  /** Each run a dot, each group a row. */
  private static String strip(List<RunGroups.Group> groups, Measure measure) {
    double[] values =
        groups.stream().flatMapToDouble(group -> DoubleStream.of(group.values(measure))).toArray();
    if (values.length == 0) {
      return "";
    }
    double low = DoubleStream.of(values).min().orElseThrow();
    double high = DoubleStream.of(values).max().orElseThrow();
    double room = Math.max(0.01, 0.06 * (high - low));
    Axis x = Axis.linear(name(measure) + ", %", 100 * (low - room), 100 * (high + room));
    String title = measure == Measure.AAA ? "Average anytime accuracy" : name(measure);
    String drawing = Strip.svg(name(measure), groups, measure, x);
    String towards =
        switch (measure) {
          case OP, AAA -> "Further right is better.";
          case BWT -> "Further right is better: nearer to nothing forgotten.";
          case FWT -> "Further right: more is known of a task before it is learned.";
          case FORGETTING -> "Further left is better.";
        };
    return figure(
        title.substring(0, 1).toUpperCase(Locale.ROOT) + title.substring(1), drawing, towards);
  }

  /** How the mean accuracy on what was learned develops, whatever the order. */
  static String anytime(List<Subject> subjects) {
    int tasks =
        subjects.stream()
            .flatMap(subject -> subject.runs().stream())
            .mapToInt(run -> run.matrix().tasks())
            .max()
            .orElse(0);
    if (tasks < 2) {
      return "";
    }
    Plot plot =
        new Plot(
            "mean accuracy on the tasks learned so far",
            720,
            280,
            Axis.places(
                "tasks learned so far",
                IntStream.rangeClosed(1, tasks).mapToObj(String::valueOf).toList()),
            Axis.percent("mean accuracy on them, %"));
    for (Subject subject : subjects) {
      double[][] curves =
          subject.runs().stream().map(AccuracySections::anytime).toArray(double[][]::new);
      draw(plot, subject, curves, 0, "on what was learned, after %s tasks"::formatted);
    }
    return figure(
        "Everything learned so far",
        "<div class=\"scroll\"><div class=\"wide\">" + plot.svg() + "</div></div>\n",
        "A curve that stays level loses nothing while it learns more; its mean is AAA, its end OP."
            + (subjects.stream().anyMatch(subject -> subject.runs().size() > 1)
                ? " Bands reach from the worst run to the best."
                : ""));
  }

  private static double[] anytime(RunSummary run) {
    return IntStream.range(0, run.matrix().tasks())
        .mapToDouble(
            after ->
                IntStream.rangeClosed(0, after)
                    .mapToDouble(task -> run.matrix().accuracy(task, after))
                    .average()
                    .orElse(Double.NaN))
        .toArray();
  }

  /** Says what a point stands for. */
  @FunctionalInterface
  interface Place {
    String of(Object place);
  }

  /** Mean curve of several runs, the band between the extremes, and a dot at each place. */
  private static void draw(Plot plot, Subject subject, double[][] curves, int from, Place place) {
    int length = Arrays.stream(curves).mapToInt(curve -> curve.length).max().orElse(0);
    List<Plot.Point> mean = new ArrayList<>();
    List<Plot.Point> low = new ArrayList<>();
    List<Plot.Point> high = new ArrayList<>();
    for (int i = from; i < length; i++) {
      int at = i;
      double[] values =
          Arrays.stream(curves)
              .filter(curve -> curve.length > at)
              .mapToDouble(curve -> curve[at])
              .filter(Double::isFinite)
              .toArray();
      if (values.length > 0) {
        mean.add(new Plot.Point(i, DoubleStream.of(values).average().orElseThrow()));
        low.add(new Plot.Point(i, DoubleStream.of(values).min().orElseThrow()));
        high.add(new Plot.Point(i, DoubleStream.of(values).max().orElseThrow()));
      }
    }
    if (curves.length > 1) {
      plot.band(low, high, "fill:" + subject.colour() + ";fill-opacity:.14");
    }
    plot.line(mean, subject.stroke());
    for (Plot.Point point : mean) {
      plot.dot(
          point,
          2.6,
          "fill:" + subject.colour(),
          "%s %s: %s %%"
              .formatted(subject.label(), place.of((int) point.x() + 1), percent(point.y())));
    }
  }

  /** One chart for each task, one curve for each subject. */
  static String forgetting(List<Subject> subjects, List<String> order) {
    StringBuilder html = new StringBuilder();
    html.append(
        Markup.caption(
            "Each chart is one task: a curve begins where the task is learned, and what it falls"
                + " from there on is forgotten."
                + (subjects.stream().anyMatch(s -> of(s, order).size() > 1)
                    ? " Bands reach from the worst run to the best."
                    : "")));
    html.append("<div class=\"charts\">\n");
    for (int task = 0; task < order.size(); task++) {
      html.append(figure(order.get(task), curves(subjects, order, task).svg(), ""));
    }
    return html.append("</div>\n").toString();
  }

  static List<RunSummary> of(Subject subject, List<String> order) {
    return subject.byOrder().getOrDefault(order, List.of());
  }

  static Plot curves(List<Subject> subjects, List<String> order, int task) {
    Plot plot =
        new Plot(
            "accuracy on " + order.get(task) + " while later tasks are learned",
            Axis.places("after learning", order),
            Axis.percent("accuracy, %"));
    for (Subject subject : subjects) {
      List<RunSummary> runs = of(subject, order);
      double[][] curves =
          runs.stream()
              .map(
                  run ->
                      IntStream.range(0, run.matrix().tasks())
                          .mapToDouble(
                              after ->
                                  after >= task ? run.matrix().accuracy(task, after) : Double.NaN)
                          .toArray())
              .toArray(double[][]::new);
      draw(
          plot,
          subject,
          curves,
          task,
          place -> "on " + order.get(task) + ", after " + order.get((int) place - 1));
    }
    return plot;
  }

  /** A heat map for each subject. */
  static String matrices(List<Subject> subjects, List<String> order) {
    StringBuilder html = new StringBuilder();
    html.append(
        Markup.caption(
            "Read a column downwards: outlined is the accuracy right after learning, below it what"
                + " is left of it. Above the outline: what was known before."));
    html.append(
        order.size() > 8 ? "<div class=\"matrices large\">\n" : "<div class=\"matrices\">\n");
    for (Subject subject : subjects) {
      List<RunSummary> runs = of(subject, order);
      if (runs.isEmpty() || runs.stream().allMatch(run -> run.matrix().tasks() == 0)) {
        continue;
      }
      String drawing =
          HeatMap.numbered(
              "accuracy matrix of " + subject.label(),
              Subject.meanMatrix(runs),
              order,
              order,
              "after",
              "accuracy on, %",
              (row, column) -> row == column);
      html.append(
          figure(
              subject.label() + (runs.size() > 1 ? ", mean of " + runs.size() + " runs" : ""),
              drawing,
              ""));
    }
    return html.append("</div>\n").toString();
  }
}
