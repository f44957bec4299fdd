package io.github.recurrentkif.experiment.report;

import static io.github.recurrentkif.experiment.report.Markup.escape;

import java.util.List;

/** The forgetting curves as one picture that stands for itself. */
final class ForgettingPicture {

  private static final int COLUMNS = 3;
  private static final int NAME = 18;
  private static final int KEY = 34;
  private static final int KEY_WIDTH = 160;

  private ForgettingPicture() {}

  static String svg(List<Subject> subjects, List<String> order) {
    int columns = Math.min(COLUMNS, order.size());
    int rows = (order.size() + columns - 1) / columns;
    int cell = Plot.HEIGHT + NAME + 8;
    StringBuilder svg = new StringBuilder();
    svg.append(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\">\n"
            .formatted(columns * Plot.WIDTH, KEY + rows * cell));
    svg.append("<style>\n").append(Style.COLOURS).append(Style.DRAWING);
    svg.append(".name { fill: var(--ink); font-size: 13px; }\n</style>\n");
    svg.append("<rect width=\"100%\" height=\"100%\" fill=\"var(--paper)\"/>\n");
    for (int i = 0; i < subjects.size(); i++) {
      int left = 42 + i * KEY_WIDTH;
      svg.append(
          "<rect x=\"%d\" y=\"13\" width=\"16\" height=\"4\" fill=\"%s\"/><text class=\"name\" x=\"%d\" y=\"19\">%s</text>\n"
              .formatted(
                  left, subjects.get(i).colour(), left + 22, escape(subjects.get(i).label())));
    }
    for (int task = 0; task < order.size(); task++) {
      svg.append(
          "<g transform=\"translate(%d %d)\">\n<text class=\"name\" x=\"42\" y=\"12\">%s</text>\n<g transform=\"translate(0 %d)\">\n"
              .formatted(
                  task % columns * Plot.WIDTH,
                  KEY + task / columns * cell,
                  escape(order.get(task)),
                  NAME));
      AccuracySections.curves(subjects, order, task).inner(svg);
      svg.append("</g>\n</g>\n");
    }
    return svg.append("</svg>\n").toString();
  }
}
