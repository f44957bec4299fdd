package io.github.recurrentkif.experiment.report;

import static io.github.recurrentkif.experiment.report.Markup.escape;
import static io.github.recurrentkif.experiment.report.Markup.number;

import java.util.List;
import java.util.function.DoubleFunction;

/** Horizontal bars with names, over an axis that begins at zero. */
final class Bars {

  /** One piece of a row. */
  record Part(String name, double value, String colour) {}

  /** The pieces that stand under one name. */
  record Row(String name, List<Part> parts) {
    Row {
      parts = List.copyOf(parts);
    }

    double total() {
      return parts.stream().mapToDouble(Part::value).sum();
    }
  }

  private static final int WIDTH = 360;
  private static final int TOP = 6;
  private static final int BOTTOM = 36;
  private static final int LETTERS = 26;
  private static final double LETTER = 6;

  private Bars() {}

  /** The pieces of a row below each other. */
  static String beside(String label, List<Row> rows, String title) {
    double most =
        rows.stream().flatMap(row -> row.parts().stream()).mapToDouble(Part::value).max().orElse(1);
    return draw(label, rows, Axis.linear(title, 0, most), false, _ -> "");
  }

  /** The pieces of a row behind each other, and their sum at the end. */
  static String stacked(String label, List<Row> rows, String title, DoubleFunction<String> sum) {
    double most = rows.stream().mapToDouble(Row::total).max().orElse(1);
    return draw(label, rows, Axis.linear(title, 0, most), true, sum);
  }

  private static String draw(
      String label, List<Row> rows, Axis x, boolean stacked, DoubleFunction<String> sum) {
    int letters =
        Math.min(LETTERS, rows.stream().mapToInt(row -> row.name().length()).max().orElse(0));
    double left = letters * LETTER + 10;
    double room =
        WIDTH
            - left
            - 8
            - LETTER
                * rows.stream().mapToInt(row -> sum.apply(row.total()).length()).max().orElse(0);
    int height = stacked ? 18 : 16;
    int bottom = TOP + rows.size() * height;
    StringBuilder svg = new StringBuilder();
    svg.append(
        "<svg viewBox=\"0 0 %d %d\" style=\"max-width:%dpx\" role=\"img\" aria-label=\"%s\">\n"
            .formatted(WIDTH, bottom + BOTTOM, Plot.LARGEST * WIDTH / 100, escape(label)));
    for (Axis.Tick tick : x.ticks()) {
      svg.append(
          "<line class=\"grid\" x1=\"%1$s\" x2=\"%1$s\" y1=\"%2$d\" y2=\"%3$d\"/><text x=\"%1$s\" y=\"%4$d\" text-anchor=\"middle\">%5$s</text>\n"
              .formatted(
                  number(left + room * x.share(tick.value())),
                  TOP,
                  bottom,
                  bottom + 14,
                  escape(tick.label())));
    }
    for (int i = 0; i < rows.size(); i++) {
      Row row = rows.get(i);
      double top = TOP + i * height;
      svg.append(
          "<text x=\"%s\" y=\"%s\" text-anchor=\"end\">%s<title>%s</title></text>\n"
              .formatted(
                  number(left - 6),
                  number(top + height / 2.0 + 3.5),
                  escape(Markup.squeezed(row.name(), letters)),
                  escape(row.name())));
      bars(svg, row, x, left, room, top, height, stacked);
      if (stacked) {
        svg.append(
            "<text x=\"%s\" y=\"%s\">%s</text>\n"
                .formatted(
                    number(left + room * x.share(row.total()) + 5),
                    number(top + height / 2.0 + 3.5),
                    escape(sum.apply(row.total()))));
      }
    }
    svg.append(
        "<text x=\"%s\" y=\"%d\" text-anchor=\"middle\">%s</text>\n"
            .formatted(number(left + room / 2), bottom + 30, escape(x.title())));
    return svg.append("</svg>\n").toString();
  }

  private static void bars(
      StringBuilder svg,
      Row row,
      Axis x,
      double left,
      double room,
      double top,
      int height,
      boolean stacked) {
    double from = 0;
    for (int i = 0; i < row.parts().size(); i++) {
      Part part = row.parts().get(i);
      double thickness = stacked ? height - 5 : (height - 4) / (double) row.parts().size();
      svg.append(
          "<rect x=\"%s\" y=\"%s\" width=\"%s\" height=\"%s\" style=\"fill:%s\"><title>%s, %s: %.1f</title></rect>\n"
              .formatted(
                  number(left + room * x.share(from)),
                  number(stacked ? top + 2.5 : top + 2 + i * thickness),
                  number(room * x.share(part.value())),
                  number(thickness),
                  part.colour(),
                  escape(row.name()),
                  escape(part.name()),
                  part.value()));
      from += stacked ? part.value() : 0;
    }
  }
}
