package io.github.recurrentkif.experiment.report;

import static io.github.recurrentkif.experiment.report.Markup.escape;
import static io.github.recurrentkif.experiment.report.Markup.figure;

import io.github.recurrentkif.experiment.TimeSpent.Part;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;

/** Where the time went. */
final class TimeSection {

  private TimeSection() {}

  private static String name(Part part) {
    return switch (part) {
      case PREPARATION -> "preparation";
      case UPDATES -> "updates on new data";
      case REPLAY -> "replay";
      case FUSION -> "fusion";
      case EVALUATION -> "evaluation";
      case CHECKPOINTS -> "checkpoints";
    };
  }

  /** The time of a run by part, all tasks together. */
  static Map<Part, Double> byPart(SequencedMap<String, Map<Part, Double>> seconds) {
    Map<Part, Double> sums = new EnumMap<>(Part.class);
    seconds
        .values()
        .forEach(parts -> parts.forEach((part, time) -> sums.merge(part, time, Double::sum)));
    return sums;
  }

  /**
   * @param times of the runs of each subject that have them
   */
  static String html(SequencedMap<String, List<Map<Part, Double>>> times) {
    SequencedMap<String, Map<Part, Double>> means = new LinkedHashMap<>();
    times.forEach(
        (label, runs) -> {
          if (!runs.isEmpty()) {
            Map<Part, Double> mean = new EnumMap<>(Part.class);
            runs.forEach(
                run ->
                    run.forEach((part, time) -> mean.merge(part, time / runs.size(), Double::sum)));
            means.put(label, mean);
          }
        });
    if (means.isEmpty()) {
      return "";
    }
    double most =
        means.values().stream()
            .mapToDouble(parts -> parts.values().stream().mapToDouble(time -> time).sum())
            .max()
            .orElse(1);
    double unit = most >= 2 * 3600 ? 3600 : most >= 180 ? 60 : 1;
    List<Bars.Row> rows = new ArrayList<>();
    means.forEach(
        (label, parts) -> {
          List<Bars.Part> pieces = new ArrayList<>();
          for (Part part : Part.values()) {
            pieces.add(
                new Bars.Part(name(part), parts.getOrDefault(part, 0.0) / unit, colour(part)));
          }
          rows.add(new Bars.Row(label, pieces));
        });
    StringBuilder key = new StringBuilder("<p class=\"key\">");
    for (Part part : Part.values()) {
      key.append(
          "<span><i style=\"background:%s\"></i>%s</span>"
              .formatted(colour(part), escape(name(part))));
    }
    key.append("</p>\n");
    String title = unit == 3600 ? "hours" : unit == 60 ? "minutes" : "seconds";
    return "<section id=\"time\">\n<h2>Time</h2>\n"
        + key
        + figure(
            "",
            Bars.stacked(
                "time spent by part",
                rows,
                "time of a run, " + title,
                value -> Markup.duration(value * unit)),
            "Mean over the runs of a row. What a method costs is what its bar is longer than that"
                + " of training alone; runs on a busy machine, or beside each other, are slower.")
        + "</section>\n";
  }

  private static String colour(Part part) {
    return switch (part) {
      case PREPARATION -> "var(--redundant)";
      case UPDATES -> "var(--new)";
      case REPLAY -> "var(--old)";
      case FUSION -> "var(--shared)";
      case EVALUATION -> "var(--c5)";
      case CHECKPOINTS -> "var(--c6)";
    };
  }
}
