package io.github.recurrentkif.experiment.report;

import static io.github.recurrentkif.experiment.report.Markup.escape;

import java.util.List;

/** What others have published, so that a number here has something to be seen against. */
final class PublishedSection {

  /** Percent, as text: not every number was published. */
  private record Row(
      String method, String standard, String standardBwt, String longer, String longerBwt) {}

  private static final List<Row> ROWS =
      List.of(
          new Row("SeqLoRA", "43.7", "-50.4", "11.6", "-73.4"),
          new Row("O-LoRA", "75.8", "-3.8", "69.6", "-4.1"),
          new Row("TaSL", "76.3", "-4.0", "74.4", "-5.3"),
          new Row("VR-MCL", "76.0", "-3.7", "74.8", "-4.9"),
          new Row("MIGU", "76.6", "–", "76.5", "–"),
          new Row("Recurrent-KIF", "78.4", "-2.8", "77.8", "-3.6"),
          new Row("joint training", "80.3", "–", "81.8", "–"));

  private PublishedSection() {}

  static String html() {
    StringBuilder html = new StringBuilder();
    html.append("<section id=\"published\">\n<h2>Published numbers, of another backbone</h2>\n");
    html.append("<p class=\"warning\">For context only: T5-large (770 million weights, rank-8");
    html.append(
        " adapters on queries and values, 2 % of memory) on the standard benchmark of four");
    html.append(" tasks and the long one of fifteen, means of three orders each. Model, tasks and");
    html.append(" sizes are others than above unless the configuration says the same; small");
    html.append(" differences between the two tables mean nothing.</p>\n");
    html.append("<div class=\"scroll\"><table class=\"numbers\">\n<tr><th>published</th>");
    html.append("<th>standard OP %</th><th>standard BWT %</th>");
    html.append("<th>long OP %</th><th>long BWT %</th></tr>\n");
    for (Row row : ROWS) {
      html.append(
          "<tr><td>%s</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td></tr>\n"
              .formatted(
                  escape(row.method()),
                  row.standard(),
                  row.standardBwt(),
                  row.longer(),
                  row.longerBwt()));
    }
    html.append("</table></div>\n<p class=\"note\">Feng et al., Recurrent Knowledge");
    html.append(" Identification and Fusion for Language Model Continual Learning, ACL 2025, as");
    html.append(" quoted by its readers, not checked against the paper itself.</p>\n");
    return html.append("</section>\n").toString();
  }
}
