package io.github.recurrentkif.experiment.report;

import static io.github.recurrentkif.experiment.report.Markup.escape;
import static io.github.recurrentkif.experiment.report.Markup.number;

import java.util.List;
import java.util.Map;
import java.util.SequencedMap;

/**
 * A drawing with two axes, as SVG that stands inside a page. Points outside of the axes are drawn
 * at their edge; points that are no numbers are left out.
 */
final class Plot {

  /** A value of each axis. */
  record Point(double x, double y) {}

  static final int WIDTH = 360;
  static final int HEIGHT = 200;

  private static final int LEFT = 42;
  private static final int RIGHT = 16;
  private static final int TOP = 20;
  private static final int BOTTOM = 36;

  /** Of a letter of a tick's label, with some room around it. */
  private static final double LETTER = 6;

  /** Percent of its size: beyond it, letters would be larger than those of the page. */
  static final int LARGEST = 130;

  private final int width;
  private final int height;
  private final Axis x;
  private final Axis y;
  private final String label;
  private final StringBuilder marks = new StringBuilder();

  /**
   * @param label says what the drawing shows to those who do not see it
   */
  Plot(String label, int width, int height, Axis x, Axis y) {
    this.label = label;
    this.width = width;
    this.height = height;
    this.x = x;
    this.y = y;
  }

  Plot(String label, Axis x, Axis y) {
    this(label, WIDTH, HEIGHT, x, y);
  }

  private double left(double value) {
    return LEFT + (width - LEFT - RIGHT) * Math.clamp(x.share(value), 0, 1);
  }

  private double top(double value) {
    return TOP + (height - TOP - BOTTOM) * (1 - Math.clamp(y.share(value), 0, 1));
  }

  private static boolean drawable(Point point) {
    return Double.isFinite(point.x()) && Double.isFinite(point.y());
  }

  private String points(List<Point> line) {
    StringBuilder text = new StringBuilder();
    for (Point point : line) {
      if (drawable(point)) {
        text.append(number(left(point.x()))).append(',').append(number(top(point.y()))).append(' ');
      }
    }
    return text.toString().strip();
  }

  /**
   * @param style of a stroke, such as {@code stroke:var(--c0)}
   */
  Plot line(List<Point> line, String style) {
    marks.append(
        "<polyline class=\"curve\" style=\"%s\" points=\"%s\"/>\n".formatted(style, points(line)));
    return this;
  }

  /** The room between two lines over the same values of x. */
  Plot band(List<Point> lower, List<Point> upper, String style) {
    marks.append(
        "<polygon style=\"%s\" points=\"%s %s\"/>\n"
            .formatted(style, points(upper), points(lower.reversed())));
    return this;
  }

  /** A dot that tells what it is when pointed at. */
  Plot dot(Point at, double radius, String style, String title) {
    if (drawable(at)) {
      marks.append(
          "<circle cx=\"%s\" cy=\"%s\" r=\"%s\" style=\"%s\"><title>%s</title></circle>\n"
              .formatted(
                  number(left(at.x())), number(top(at.y())), number(radius), style, escape(title)));
    }
    return this;
  }

  /** Lines where one task ends and the next begins, and the names of those that have room. */
  Plot tasks(SequencedMap<String, Double> ends) {
    double from = x.low();
    for (Map.Entry<String, Double> task : ends.entrySet()) {
      double to = task.getValue();
      if (left(to) < width - RIGHT - 1) {
        marks.append(
            "<line class=\"task\" x1=\"%1$s\" x2=\"%1$s\" y1=\"%2$d\" y2=\"%3$d\"/>\n"
                .formatted(number(left(to)), TOP, height - BOTTOM));
      }
      int letters = (int) ((left(to) - left(from)) / LETTER);
      if (letters >= 4) {
        marks.append(
            "<text class=\"inside\" x=\"%s\" y=\"%d\" text-anchor=\"middle\">%s</text>\n"
                .formatted(
                    number((left(from) + left(to)) / 2),
                    TOP + 9,
                    escape(Markup.shortened(task.getKey(), letters))));
      }
      from = to;
    }
    return this;
  }

  String svg() {
    StringBuilder svg = new StringBuilder();
    svg.append(
        "<svg viewBox=\"0 0 %d %d\" style=\"max-width:%dpx\" role=\"img\" aria-label=\"%s\">\n"
            .formatted(width, height, LARGEST * width / 100, escape(label)));
    inner(svg);
    return svg.append("</svg>\n").toString();
  }

  /** What stands inside the drawing, to be part of a larger one. */
  void inner(StringBuilder svg) {
    svg.append("<text x=\"0\" y=\"10\">").append(escape(y.title())).append("</text>\n");
    for (Axis.Tick tick : y.ticks()) {
      String at = number(top(tick.value()));
      svg.append(
          "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%s\" y2=\"%s\"/><text x=\"%d\" y=\"%s\" text-anchor=\"end\">%s</text>\n"
              .formatted(
                  LEFT,
                  width - RIGHT,
                  at,
                  at,
                  LEFT - 5,
                  number(top(tick.value()) + 3.5),
                  escape(tick.label())));
    }
    double taken = Double.NEGATIVE_INFINITY;
    for (Axis.Tick tick : x.ticks()) {
      String text = Markup.shortened(tick.label(), room());
      double half = text.length() * LETTER / 2;
      // Labels that would run into each other are left out.
      if (left(tick.value()) - half < taken) {
        continue;
      }
      taken = left(tick.value()) + half;
      svg.append(
          "<text x=\"%s\" y=\"%d\" text-anchor=\"middle\">%s</text>\n"
              .formatted(number(left(tick.value())), height - BOTTOM + 14, escape(text)));
    }
    svg.append(
        "<text x=\"%s\" y=\"%d\" text-anchor=\"middle\">%s</text>\n"
            .formatted(number((LEFT + width - RIGHT) / 2.0), height - 6, escape(x.title())));
    svg.append(marks);
  }

  /** Letters that fit between two marks of the axis below. */
  private int room() {
    return Math.max(
        4, (int) ((width - LEFT - RIGHT) / (double) Math.max(1, x.ticks().size()) / LETTER) - 1);
  }
}
