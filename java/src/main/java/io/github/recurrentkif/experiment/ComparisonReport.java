package io.github.recurrentkif.experiment;

import io.github.recurrentkif.continual.AccuracyMatrix;
import java.util.List;
import java.util.Locale;
import java.util.OptionalDouble;

/**
 * The results of a comparison as one HTML file that needs nothing else: the measures, how each task
 * fares while later ones are learned (inline SVG), and the accuracy matrices. Light or dark as the
 * reader's system is.
 */
final class ComparisonReport {

  private static final int WIDTH = 340;
  private static final int HEIGHT = 190;
  private static final int LEFT = 34;
  private static final int RIGHT = 10;
  private static final int TOP = 12;
  private static final int BOTTOM = 30;

  /** Of the picture of all charts: heights of a chart's name and of the key. */
  private static final int CAPTION = 18;

  private static final int KEY = 34;
  private static final int KEY_WIDTH = 160;

  private static final String COLOURS =
      """
      :root { color-scheme: light dark; --ink: #1d2129; --soft: #667085; --line: #d9dde4;
        --paper: #ffffff; --card: #f6f7f9; --c0: #c2410c; --c1: #0369a1; --c2: #15803d;
        --c3: #7e22ce; --c4: #a16207; --c5: #be123c; }
      @media (prefers-color-scheme: dark) {
        :root { --ink: #e6e8ec; --soft: #98a2b3; --line: #3a4150; --paper: #14171c;
          --card: #1d2129; --c0: #fb923c; --c1: #38bdf8; --c2: #4ade80; --c3: #c084fc;
          --c4: #facc15; --c5: #fb7185; } }
      .grid { stroke: var(--line); } .curve { fill: none; stroke-width: 2.2; }
      """;

  private static final String HEAD =
      """
      <!DOCTYPE html>
      <html lang="en">
      <head>
      <meta charset="utf-8">
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <title>What is forgotten</title>
      <style>
      """
          + COLOURS
          + """
          body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
            max-width: 1100px; margin: 2rem auto; padding: 0 1rem; }
          h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
          p, figcaption { color: var(--soft); }
          table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .6rem 0; }
          th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--line); text-align: right; }
          th:first-child, td:first-child { text-align: left; }
          .scroll { overflow-x: auto; }
          .charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr));
            gap: 1rem; }
          figure { margin: 0; background: var(--card); border-radius: 8px; padding: .8rem; }
          figcaption { font-size: .9rem; } svg { width: 100%; height: auto; }
          svg text { fill: var(--soft); font-size: 10px; }
          .key span { margin-right: 1.2rem; white-space: nowrap; }
          .key i { display: inline-block; width: 1rem; height: .25rem; margin-right: .4rem;
            vertical-align: middle; }
          td.own { font-weight: 600; } td.ahead { color: var(--soft); }
          </style>
          </head>
          <body>
          <h1>What is forgotten</h1>
          """;

  private final List<RunResult> results;
  private final List<String> tasks;

  ComparisonReport(List<RunResult> results) {
    this.results = List.copyOf(results);
    this.tasks = results.getFirst().configuration().tasks();
  }

  String html() {
    StringBuilder html = new StringBuilder(HEAD);
    html.append("<p>One model learned ")
        .append(tasks.size())
        .append(" tasks one after another: ")
        .append(escape(String.join(", ", tasks)))
        .append(". All numbers are exact-match accuracies in percent.</p>\n");
    measures(html);
    html.append("<h2>Each task while later ones are learned</h2>\n<p class=\"key\">");
    for (int method = 0; method < results.size(); method++) {
      html.append(
          "<span><i style=\"background:var(--c%d)\"></i>%s</span>"
              .formatted(method % 6, escape(name(method))));
    }
    html.append("</p>\n<div class=\"charts\">\n");
    for (int task = 0; task < tasks.size(); task++) {
      chart(html, task);
    }
    html.append("</div>\n<h2>Accuracy after each task</h2>\n");
    for (int method = 0; method < results.size(); method++) {
      matrix(html, method);
    }
    settings(html);
    return html.append("</body>\n</html>\n").toString();
  }

  private String name(int method) {
    return results.get(method).configuration().method().text();
  }

  private void measures(StringBuilder html) {
    html.append("<h2>Measures</h2>\n<div class=\"scroll\"><table>\n<tr><th>method</th>");
    html.append("<th title=\"overall performance\">OP</th>");
    html.append("<th title=\"backward transfer\">BWT</th>");
    html.append("<th title=\"zero-shot forward transfer\">FWT</th>");
    html.append("<th>forgetting</th></tr>\n");
    for (int method = 0; method < results.size(); method++) {
      AccuracyMatrix matrix = results.get(method).matrix();
      html.append("<tr><td>").append(escape(name(method))).append("</td>");
      cell(html, matrix.overallPerformance());
      cell(html, matrix.backwardTransfer());
      cell(html, matrix.zeroShotForwardTransfer());
      cell(html, matrix.forgetting());
      html.append("</tr>\n");
    }
    html.append(
        "</table></div>\n<p>OP: mean accuracy over all tasks at the end. BWT: change since");
    html.append(" each task was learned. FWT: accuracy on the next task before it is learned.");
    html.append(" Forgetting: loss since each task's best.</p>\n");
  }

  private static void cell(StringBuilder html, OptionalDouble value) {
    html.append("<td>")
        .append(value.isPresent() ? percent(value.getAsDouble()) : "-")
        .append("</td>");
  }

  /** The accuracy on one task after it and each later one, a curve for each method. */
  private void chart(StringBuilder html, int task) {
    html.append(
        "<figure>\n<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s\">\n"
            .formatted(WIDTH, HEIGHT, escape("accuracy on " + tasks.get(task))));
    curves(html, task);
    html.append("</svg>\n<figcaption>")
        .append(escape(tasks.get(task)))
        .append("</figcaption>\n</figure>\n");
  }

  /** All charts as one picture that stands for itself. */
  String svg() {
    int columns = Math.min(3, tasks.size());
    int rows = (tasks.size() + columns - 1) / columns;
    int cell = HEIGHT + CAPTION;
    StringBuilder svg = new StringBuilder();
    svg.append(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\">\n"
            .formatted(columns * WIDTH, KEY + rows * cell));
    svg.append("<style>\n").append(COLOURS);
    svg.append("text { fill: var(--soft); font-size: 10px; } .name { fill: var(--ink);");
    svg.append(" font-size: 13px; }\n</style>\n");
    svg.append("<rect width=\"100%\" height=\"100%\" fill=\"var(--paper)\"/>\n");
    for (int method = 0; method < results.size(); method++) {
      int left = LEFT + method * KEY_WIDTH;
      svg.append(
          "<rect x=\"%d\" y=\"13\" width=\"16\" height=\"4\" fill=\"var(--c%d)\"/><text class=\"name\" x=\"%d\" y=\"19\">%s</text>\n"
              .formatted(left, method % 6, left + 22, escape(name(method))));
    }
    for (int task = 0; task < tasks.size(); task++) {
      svg.append(
          "<g transform=\"translate(%d %d)\">\n<text class=\"name\" x=\"%d\" y=\"12\">%s</text>\n<g transform=\"translate(0 %d)\">\n"
              .formatted(
                  task % columns * WIDTH,
                  KEY + task / columns * cell,
                  LEFT,
                  escape(tasks.get(task)),
                  CAPTION));
      curves(svg, task);
      svg.append("</g>\n</g>\n");
    }
    return svg.append("</svg>\n").toString();
  }

  private void curves(StringBuilder html, int task) {
    for (int level = 0; level <= 100; level += 25) {
      html.append(
          "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%s\" y2=\"%s\"/>"
              .formatted(LEFT, WIDTH - RIGHT, y(level / 100.0), y(level / 100.0)));
      html.append(
          "<text x=\"%d\" y=\"%s\" text-anchor=\"end\">%d</text>\n"
              .formatted(LEFT - 6, number(yOf(level / 100.0) + 3), level));
    }
    for (int after = 0; after < tasks.size(); after++) {
      html.append(
          "<text x=\"%s\" y=\"%d\" text-anchor=\"middle\">%s</text>\n"
              .formatted(x(after), HEIGHT - 10, escape(shortened(tasks.get(after)))));
    }
    for (int method = 0; method < results.size(); method++) {
      AccuracyMatrix matrix = results.get(method).matrix();
      StringBuilder points = new StringBuilder();
      StringBuilder dots = new StringBuilder();
      for (int after = task; after < matrix.tasks(); after++) {
        double accuracy = matrix.accuracy(task, after);
        points.append(x(after)).append(',').append(y(accuracy)).append(' ');
        dots.append(
            "<circle cx=\"%s\" cy=\"%s\" r=\"3\" fill=\"var(--c%d)\"><title>%s</title></circle>\n"
                .formatted(
                    x(after),
                    y(accuracy),
                    method % 6,
                    escape(
                        "%s, after %s: %s"
                            .formatted(name(method), tasks.get(after), percent(accuracy)))));
      }
      html.append(
          "<polyline class=\"curve\" style=\"stroke:var(--c%d)\" points=\"%s\"/>\n"
              .formatted(method % 6, points.toString().strip()));
      html.append(dots);
    }
  }

  private static String shortened(String name) {
    return name.length() <= 9 ? name : name.substring(0, 8) + "…";
  }

  private double xOf(int after) {
    return LEFT + 16 + (double) (WIDTH - LEFT - RIGHT - 32) * after / Math.max(1, tasks.size() - 1);
  }

  private String x(int after) {
    return number(xOf(after));
  }

  private static double yOf(double accuracy) {
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - accuracy);
  }

  private static String y(double accuracy) {
    return number(yOf(accuracy));
  }

  private static String number(double value) {
    return String.format(Locale.ROOT, "%.1f", value);
  }

  private void matrix(StringBuilder html, int method) {
    AccuracyMatrix matrix = results.get(method).matrix();
    html.append("<div class=\"scroll\"><table>\n<tr><th>").append(escape(name(method)));
    html.append(", after</th>");
    tasks.forEach(task -> html.append("<th>").append(escape(task)).append("</th>"));
    html.append("</tr>\n");
    for (int after = 0; after < matrix.tasks(); after++) {
      html.append("<tr><td>").append(escape(tasks.get(after))).append("</td>");
      for (int task = 0; task < tasks.size(); task++) {
        String kind = task == after ? "own" : task > after ? "ahead" : "past";
        html.append("<td class=\"").append(kind).append("\">");
        html.append(matrix.has(task, after) ? percent(matrix.accuracy(task, after)) : "");
        html.append("</td>");
      }
      html.append("</tr>\n");
    }
    html.append("</table></div>\n");
  }

  private void settings(StringBuilder html) {
    html.append("<h2>Settings</h2>\n<details><summary>all of them</summary><table>\n");
    results
        .getFirst()
        .configuration()
        .settings()
        .resolved()
        .forEach(
            (key, value) ->
                html.append("<tr><td>")
                    .append(escape(key))
                    .append("</td><td>")
                    .append(escape(value))
                    .append("</td></tr>\n"));
    html.append("</table></details>\n");
  }

  private static String percent(double value) {
    return String.format(Locale.ROOT, "%.1f", 100 * value);
  }

  private static String escape(String text) {
    return text.replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
        .replace("\"", "&quot;");
  }
}
