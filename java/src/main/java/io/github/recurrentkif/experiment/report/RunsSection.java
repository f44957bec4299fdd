package io.github.recurrentkif.experiment.report;

import static io.github.recurrentkif.experiment.report.Markup.escape;
import static io.github.recurrentkif.experiment.report.Markup.percent;

import io.github.recurrentkif.experiment.RunConfiguration;
import io.github.recurrentkif.experiment.RunSummary;
import io.github.recurrentkif.experiment.RunSummary.State;
import io.github.recurrentkif.experiment.Settings;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SequencedMap;
import java.util.SequencedSet;

/** The runs themselves: which there are, what they have in common and in what they differ. */
final class RunsSection {

  /** Values of a cell; more are counted. */
  private static final int VALUES = 6;

  private final List<Subject> subjects;
  private final List<RunSummary> runs;
  private final Map<Path, Map<String, String>> facts = new LinkedHashMap<>();

  RunsSection(
      List<Subject> subjects, List<RunSummary> runs, Map<Path, Map<String, String>> environments) {
    this.subjects = subjects;
    this.runs = runs;
    for (RunSummary run : runs) {
      run.configuration()
          .ifPresent(
              configuration ->
                  facts.put(
                      run.folder(),
                      facts(configuration, environments.getOrDefault(run.folder(), Map.of()))));
    }
  }

  private static Map<String, String> facts(
      RunConfiguration configuration, Map<String, String> environment) {
    Map<String, String> facts = new LinkedHashMap<>();
    facts.put("method", configuration.method().text());
    facts.put("model", configuration.model().toString());
    facts.put("data", configuration.data().toString());
    facts.put("tasks", String.join(", ", configuration.tasks()));
    facts.putAll(configuration.settings().resolved());
    environment.forEach((name, value) -> facts.put("(" + name.replace('_', ' ') + ")", value));
    return facts;
  }

  private SequencedSet<String> values(List<RunSummary> some, String key) {
    SequencedSet<String> values = new LinkedHashSet<>();
    for (RunSummary run : some) {
      Map<String, String> of = facts.get(run.folder());
      if (of != null) {
        values.add(of.getOrDefault(key, "–"));
      }
    }
    return values;
  }

  private SequencedSet<String> keys() {
    SequencedSet<String> keys = new LinkedHashSet<>();
    facts.values().forEach(of -> keys.addAll(of.keySet()));
    return keys;
  }

  /** In what the runs differ, and everything they share. */
  String configuration() {
    List<String> differing = new ArrayList<>();
    SequencedMap<String, String> common = new LinkedHashMap<>();
    for (String key : keys()) {
      SequencedSet<String> values = values(runs, key);
      if (values.size() > 1) {
        differing.add(key);
      } else {
        common.put(key, values.getFirst());
      }
    }
    StringBuilder html = new StringBuilder("<section id=\"settings\">\n<h2>Configuration</h2>\n");
    if (runs.size() > 1) {
      html.append("<h3>In what the runs differ</h3>\n");
      if (differing.isEmpty()) {
        html.append("<p>In nothing that is written down.</p>\n");
      } else {
        differences(html, differing);
      }
    }
    html.append("<details").append(runs.size() == 1 ? " open" : "");
    html.append("><summary>").append(runs.size() > 1 ? "What all have in common" : "Everything");
    html.append(" (").append(common.size()).append(" entries)</summary>\n");
    html.append("<div class=\"scroll\"><table class=\"settings\">\n");
    common.forEach(
        (key, value) ->
            html.append("<tr><td>")
                .append(escape(key))
                .append("</td><td>")
                .append(escape(value))
                .append("</td></tr>\n"));
    html.append("</table></div>\n<p class=\"note\">In parentheses: where it ran.</p></details>\n");
    return html.append("</section>\n").toString();
  }

  private void differences(StringBuilder html, List<String> differing) {
    html.append("<div class=\"scroll\"><table class=\"settings\">\n<tr><th></th>");
    differing.forEach(key -> html.append("<th>").append(escape(key)).append("</th>"));
    html.append("</tr>\n");
    for (Subject subject : subjects) {
      html.append("<tr><td>").append(escape(subject.label())).append("</td>");
      for (String key : differing) {
        SequencedSet<String> values = values(subject.runs(), key);
        String shown =
            String.join("; ", values.stream().limit(VALUES).map(RunsSection::brief).toList());
        html.append(
            "<td title=\"%s\">%s%s</td>"
                .formatted(
                    escape(String.join("; ", values)),
                    escape(shown),
                    values.size() > VALUES ? " … (" + values.size() + ")" : ""));
      }
      html.append("</tr>\n");
    }
    html.append("</table></div>\n");
  }

  /** Of a path, its end. */
  private static String brief(String value) {
    return value.startsWith("/")
        ? "…" + value.substring(Math.max(0, value.lastIndexOf('/')))
        : value;
  }

  /** Every run with its state; how to go on with those that are not finished. */
  String list(Map<Path, Double> seconds) {
    StringBuilder html = new StringBuilder("<section id=\"runs\">\n<h2>Runs</h2>\n");
    html.append("<div class=\"scroll\"><table class=\"numbers\">\n<tr><th>folder</th>");
    html.append("<th>method</th><th>seed</th><th>state</th><th>tasks</th><th>OP %</th>");
    html.append("<th>BWT %</th><th>time</th></tr>\n");
    for (RunSummary run : runs) {
      boolean finished = run.state() == State.FINISHED;
      RunConfiguration configuration = run.configuration().orElse(null);
      Double time = seconds.get(run.folder());
      String state = run.state().name().toLowerCase(Locale.ROOT);
      html.append(
          "<tr%s><td>%s</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td></tr>\n"
              .formatted(
                  finished ? "" : " class=\"unfinished\"",
                  escape(run.folder().toString()),
                  configuration == null ? "–" : configuration.method().text(),
                  configuration == null ? "–" : configuration.settings().get(Settings.SEED),
                  run.update() > 0 ? state + ", update " + run.update() : state,
                  configuration == null
                      ? escape(run.problem())
                      : run.tasksDone() + " of " + configuration.tasks().size(),
                  finished ? percent(run.matrix().overallPerformance()) : "–",
                  finished ? percent(run.matrix().backwardTransfer()) : "–",
                  time == null ? "–" : Markup.duration(time)));
    }
    html.append("</table></div>\n");
    List<RunSummary> stopped = runs.stream().filter(run -> run.state() == State.STOPPED).toList();
    if (!stopped.isEmpty()) {
      html.append("<p>Not finished, and in no mean above. Go on with:</p>\n<pre>");
      stopped.forEach(
          run -> html.append("kif resume ").append(escape(quoted(run.folder()))).append('\n'));
      html.append("</pre>\n");
    }
    return html.append("</section>\n").toString();
  }

  private static String quoted(Path folder) {
    String text = folder.toString();
    return text.matches("[\\w./=:,+@-]+") ? text : "'" + text.replace("'", "'\\''") + "'";
  }
}
