package io.github.recurrentkif.experiment.report;

import static io.github.recurrentkif.experiment.report.Markup.escape;
import static io.github.recurrentkif.experiment.report.Markup.number;

import java.util.ArrayList;
import java.util.List;

/** A table of numbers drawn as colours: the darker, the more. What is no number is left empty. */
final class HeatMap {

  /** Shades that the eye can still tell apart; cells of one shade are one path. */
  private static final int SHADES = 12;

  private static final double LETTER = 6;

  private HeatMap() {}

  /** How dark a share of the scale is. */
  private static double opacity(double share) {
    return 0.04 + 0.96 * Math.clamp(share, 0, 1);
  }

  /**
   * Few cells, each with its number.
   *
   * @param values rows of shares of 1
   * @param rowTitle what the rows are; above them
   * @param columnTitle what the columns are; below them
   * @param outlined whether a cell of this row and column is marked
   */
  static String numbered(
      String label,
      double[][] values,
      List<String> rows,
      List<String> columns,
      String rowTitle,
      String columnTitle,
      Marked outlined) {
    int cell = columns.size() <= 8 ? 42 : 30;
    int row = columns.size() <= 8 ? 22 : 18;
    int letters = 11;
    int left = (int) (letters * LETTER) + 8;
    int top = 18;
    int width = left + cell * columns.size() + 4;
    int bottom = top + row * rows.size();
    StringBuilder svg = open(label, width, bottom + 34);
    svg.append(
        "<text x=\"%d\" y=\"10\" text-anchor=\"end\">%s</text>\n"
            .formatted(left - 6, escape(rowTitle)));
    for (int r = 0; r < rows.size(); r++) {
      svg.append(
          "<text x=\"%d\" y=\"%s\" text-anchor=\"end\">%s</text>\n"
              .formatted(
                  left - 6,
                  number(top + row * (r + 0.5) + 3.5),
                  escape(Markup.shortened(rows.get(r), letters))));
      for (int c = 0; c < columns.size(); c++) {
        double value = values[r][c];
        if (!Double.isFinite(value)) {
          continue;
        }
        int x = left + cell * c;
        int y = top + row * r;
        svg.append(
            "<rect class=\"cell%s\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill-opacity=\"%.2f\"><title>%s</title></rect>"
                .formatted(
                    outlined.at(r, c) ? " own" : "",
                    x + 1,
                    y + 1,
                    cell - 2,
                    row - 2,
                    opacity(value),
                    escape(
                        columns.get(c)
                            + " after "
                            + rows.get(r)
                            + ": "
                            + Markup.percent(value)
                            + " %")));
        svg.append(
            "<text class=\"%s\" x=\"%s\" y=\"%s\" text-anchor=\"middle\">%s</text>\n"
                .formatted(
                    value > 0.55 ? "on" : "off",
                    number(x + cell / 2.0),
                    number(y + row / 2.0 + 3.5),
                    cell >= 40 ? Markup.percent(value) : String.valueOf(Math.round(100 * value))));
      }
    }
    for (int c = 0; c < columns.size(); c++) {
      svg.append(
          "<text x=\"%s\" y=\"%d\" text-anchor=\"middle\">%s<title>%s</title></text>\n"
              .formatted(
                  number(left + cell * (c + 0.5)),
                  bottom + 13,
                  escape(Markup.shortened(columns.get(c), (int) (cell / LETTER) - 1)),
                  escape(columns.get(c))));
    }
    svg.append(
        "<text x=\"%s\" y=\"%d\" text-anchor=\"middle\">%s</text>\n"
            .formatted(
                number(left + cell * columns.size() / 2.0), bottom + 28, escape(columnTitle)));
    return svg.append("</svg>\n").toString();
  }

  /** Whether something is said of a cell. */
  @FunctionalInterface
  interface Marked {
    boolean at(int row, int column);
  }

  /**
   * Many cells, whose numbers are told by a scale.
   *
   * @param values rows of shares of 1
   * @param boundaries columns behind which a line is drawn
   * @param columnNames names of the stretches between the boundaries
   */
  static String dense(
      String label,
      double[][] values,
      List<String> rows,
      List<Integer> boundaries,
      List<String> columnNames,
      String title,
      String columnTitle) {
    int columns = values.length == 0 ? 0 : values[0].length;
    int letters = Math.min(18, rows.stream().mapToInt(String::length).max().orElse(0));
    int left = (int) (letters * LETTER) + 10;
    int plot = 340;
    int row = Math.clamp(230 / Math.max(1, rows.size()), 4, 16);
    int top = 34;
    int bottom = top + row * rows.size();
    double cell = plot / (double) Math.max(1, columns);
    double most = 0;
    for (double[] line : values) {
      for (double value : line) {
        most = Double.isFinite(value) ? Math.max(most, value) : most;
      }
    }
    int width = left + plot + 4;
    StringBuilder svg = open(label, width, bottom + 40);
    svg.append("<text x=\"0\" y=\"10\">").append(escape(title)).append("</text>\n");
    shades(svg, values, left, top, cell, row, most);
    int every = (int) Math.ceil(10.0 / row);
    for (int r = 0; r < rows.size(); r += every) {
      svg.append(
          "<text x=\"%d\" y=\"%s\" text-anchor=\"end\">%s</text>\n"
              .formatted(
                  left - 6,
                  number(top + row * (r + 0.5) + 3.5),
                  escape(Markup.shortened(rows.get(r), letters))));
    }
    stretches(svg, boundaries, columnNames, columns, left, top, bottom, cell);
    svg.append(
        "<text x=\"%s\" y=\"%d\" text-anchor=\"middle\">%s</text>\n"
            .formatted(number(left + plot / 2.0), bottom + 14, escape(columnTitle)));
    scale(svg, left, bottom + 26, most);
    return svg.append("</svg>\n").toString();
  }

  private static void shades(
      StringBuilder svg, double[][] values, int left, int top, double cell, int row, double most) {
    List<StringBuilder> paths = new ArrayList<>();
    for (int shade = 0; shade < SHADES; shade++) {
      paths.add(new StringBuilder());
    }
    for (int r = 0; r < values.length; r++) {
      int from = 0;
      for (int c = 1; c <= values[r].length; c++) {
        int shade = shade(values[r][from], most);
        if (c < values[r].length && shade(values[r][c], most) == shade) {
          continue;
        }
        if (shade >= 0) {
          paths
              .get(shade)
              .append(
                  "M%s %dH%sV%dH%sZ"
                      .formatted(
                          number(left + cell * from),
                          top + row * r,
                          number(left + cell * c),
                          top + row * (r + 1),
                          number(left + cell * from)));
        }
        from = c;
      }
    }
    for (int shade = 0; shade < SHADES; shade++) {
      if (!paths.get(shade).isEmpty()) {
        svg.append(
            "<path class=\"cell\" shape-rendering=\"crispEdges\" fill-opacity=\"%.2f\" d=\"%s\"/>\n"
                .formatted(opacity(shade / (SHADES - 1.0)), paths.get(shade)));
      }
    }
  }

  private static int shade(double value, double most) {
    return !Double.isFinite(value)
        ? -1
        : (int) Math.round(value / Math.max(most, 1e-12) * (SHADES - 1));
  }

  private static void stretches(
      StringBuilder svg,
      List<Integer> boundaries,
      List<String> names,
      int columns,
      int left,
      int top,
      int bottom,
      double cell) {
    int from = 0;
    for (int i = 0; i <= boundaries.size(); i++) {
      int to = i < boundaries.size() ? boundaries.get(i) : columns;
      double end = left + cell * to;
      if (i < boundaries.size()) {
        svg.append(
            "<line class=\"task\" x1=\"%1$s\" x2=\"%1$s\" y1=\"%2$d\" y2=\"%3$d\"/>\n"
                .formatted(number(end), top - 12, bottom));
      }
      int letters = (int) ((to - from) * cell / LETTER) - 1;
      if (i < names.size() && letters >= 3) {
        svg.append(
            "<text x=\"%s\" y=\"%d\" text-anchor=\"middle\">%s</text>\n"
                .formatted(
                    number(left + cell * (from + to) / 2),
                    top - 4,
                    escape(Markup.shortened(names.get(i), letters))));
      }
      from = to;
    }
  }

  /** Which shade is how much. */
  private static void scale(StringBuilder svg, int left, int top, double most) {
    int cell = 12;
    for (int shade = 0; shade < SHADES; shade++) {
      svg.append(
          "<rect class=\"cell\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"9\" fill-opacity=\"%.2f\"/>"
              .formatted(left + 22 + cell * shade, top, cell, opacity(shade / (SHADES - 1.0))));
    }
    svg.append(
        "\n<text x=\"%d\" y=\"%d\">0 %%</text><text x=\"%d\" y=\"%d\">%s %%</text>\n"
            .formatted(
                left - 4, top + 8, left + 28 + cell * SHADES, top + 8, Markup.percent(most)));
  }

  private static StringBuilder open(String label, int width, int height) {
    return new StringBuilder(
        "<svg viewBox=\"0 0 %d %d\" style=\"max-width:%dpx\" role=\"img\" aria-label=\"%s\">\n"
            .formatted(width, height, Plot.LARGEST * width / 100, escape(label)));
  }
}
