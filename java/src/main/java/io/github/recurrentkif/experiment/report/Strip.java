package io.github.recurrentkif.experiment.report;

import static io.github.recurrentkif.experiment.report.Markup.escape;
import static io.github.recurrentkif.experiment.report.Markup.number;

import io.github.recurrentkif.experiment.RunGroups;
import io.github.recurrentkif.experiment.RunGroups.Measure;
import java.util.List;

/** A row for each group: a dot for each run, a bar for the mean. */
final class Strip {

  private static final int WIDTH = 360;
  private static final int ROW = 20;
  private static final int TOP = 6;
  private static final int BOTTOM = 36;
  private static final int RIGHT = 12;
  private static final int LETTERS = 26;
  private static final double LETTER = 6;

  private Strip() {}

  static String svg(String label, List<RunGroups.Group> groups, Measure measure, Axis x) {
    int letters =
        Math.min(
            LETTERS, groups.stream().mapToInt(group -> group.label().length()).max().orElse(0));
    double left = letters * LETTER + 12;
    int bottom = TOP + ROW * groups.size();
    StringBuilder svg = new StringBuilder();
    svg.append(
        "<svg viewBox=\"0 0 %d %d\" style=\"max-width:%dpx\" role=\"img\" aria-label=\"%s\">\n"
            .formatted(WIDTH, bottom + BOTTOM, Plot.LARGEST * WIDTH / 100, escape(label)));
    for (Axis.Tick tick : x.ticks()) {
      String at = number(at(x, left, tick.value()));
      svg.append(
          "<line class=\"grid\" x1=\"%1$s\" x2=\"%1$s\" y1=\"%2$d\" y2=\"%3$d\"/><text x=\"%1$s\" y=\"%4$d\" text-anchor=\"middle\">%5$s</text>\n"
              .formatted(at, TOP, bottom, bottom + 14, escape(tick.label())));
    }
    for (int i = 0; i < groups.size(); i++) {
      RunGroups.Group group = groups.get(i);
      double y = TOP + ROW * (i + 0.5);
      svg.append(
          "<text x=\"%s\" y=\"%s\" text-anchor=\"end\">%s<title>%s</title></text>\n"
              .formatted(
                  number(left - 8),
                  number(y + 3.5),
                  escape(Markup.squeezed(group.label(), letters)),
                  escape(group.label())));
      for (double value : group.values(measure)) {
        svg.append(
            "<circle cx=\"%s\" cy=\"%s\" r=\"3.4\" style=\"fill:var(--c%d);fill-opacity:.55\"><title>%s %%</title></circle>\n"
                .formatted(
                    number(at(x, left, 100 * value)), number(y), i % 10, Markup.percent(value)));
      }
      int colour = i % 10;
      group
          .mean(measure)
          .ifPresent(
              mean ->
                  svg.append(
                      "<line x1=\"%1$s\" x2=\"%1$s\" y1=\"%2$s\" y2=\"%3$s\" style=\"stroke:var(--c%4$d);stroke-width:2.4\"/>\n"
                          .formatted(
                              number(at(x, left, 100 * mean)),
                              number(y - 7),
                              number(y + 7),
                              colour)));
    }
    svg.append(
        "<text x=\"%s\" y=\"%d\" text-anchor=\"middle\">%s</text>\n"
            .formatted(number((left + WIDTH - RIGHT) / 2), bottom + 30, escape(x.title())));
    return svg.append("</svg>\n").toString();
  }

  private static double at(Axis x, double left, double value) {
    return left + (WIDTH - RIGHT - left) * x.share(value);
  }
}
