package io.github.recurrentkif.experiment.report;

import static io.github.recurrentkif.experiment.report.Markup.escape;

import io.github.recurrentkif.experiment.RunGroups;
import io.github.recurrentkif.experiment.RunHistory;
import io.github.recurrentkif.experiment.RunSummary;
import io.github.recurrentkif.experiment.RunSummary.State;
import io.github.recurrentkif.experiment.TimeSpent.Part;
import io.github.recurrentkif.memory.AtomicFile;
import io.github.recurrentkif.memory.InputException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.SequencedSet;

/**
 * Runs as one HTML file that needs nothing else, for one run or for dozens: what was learned and
 * forgotten, how training went, where in the model the important parameters are, what it cost, and
 * in what the runs differ. What a run did not record is left out.
 */
public final class Report {

  /** Of runs whose course is shown one by one; a page of more is no longer looked at. */
  private static final int COURSES = 24;

  private static final int MAPS = 8;

  private final List<RunSummary> runs;
  private final Optional<RunGroups> groups;
  private final List<Subject> subjects;
  private final List<List<String>> orders;

  private Report(List<RunSummary> runs) {
    this.runs = runs;
    List<RunSummary> finished = runs.stream().filter(run -> run.state() == State.FINISHED).toList();
    this.groups = finished.isEmpty() ? Optional.empty() : Optional.of(RunGroups.of(finished, true));
    List<Subject> all = new ArrayList<>();
    groups.ifPresent(
        some ->
            some.groups()
                .forEach(
                    group -> all.add(new Subject(all.size(), group.label(), group.runs(), true))));
    SequencedMap<String, List<RunSummary>> unfinished = new LinkedHashMap<>();
    for (RunSummary run : runs) {
      if (run.state() == State.RUNNING || run.state() == State.STOPPED) {
        unfinished
            .computeIfAbsent(
                Subject.configuration(run).method().text() + " (unfinished)",
                _ -> new ArrayList<>())
            .add(run);
      }
    }
    unfinished.forEach((label, some) -> all.add(new Subject(all.size(), label, some, false)));
    this.subjects = List.copyOf(all);
    SequencedSet<List<String>> differentOrders = new LinkedHashSet<>();
    subjects.forEach(subject -> differentOrders.addAll(subject.byOrder().keySet()));
    this.orders = List.copyOf(differentOrders);
  }

  /**
   * A report on these runs.
   *
   * @param folders run folders, or folders that hold runs; one that is named twice counts once
   * @throws InputException if one of them holds no run, or two runs are the same, seed included
   */
  public static Report of(List<Path> folders) {
    SequencedMap<Path, RunSummary> runs = new LinkedHashMap<>();
    for (Path folder : folders) {
      List<RunSummary> found = RunSummary.below(folder);
      if (found.isEmpty()) {
        throw new InputException(folder + ": holds no run; 'kif runs' lists those there are");
      }
      for (RunSummary run : found) {
        runs.putIfAbsent(run.folder().toAbsolutePath().normalize(), run);
      }
    }
    return new Report(List.copyOf(runs.values()));
  }

  /** Every run of the report, finished or not. */
  public List<RunSummary> runs() {
    return runs;
  }

  /**
   * Writes the page, whole or not at all; makes its folder.
   *
   * @throws InputException if it cannot be written
   */
  public void write(Path file) {
    write(file, html());
  }

  /** Writes the forgetting curves of the first order of tasks as a picture of its own, SVG. */
  public void writeForgetting(Path file) {
    write(file, ForgettingPicture.svg(subjects, orders.getFirst()));
  }

  private static void write(Path file, String text) {
    AtomicFile.write(file, text.getBytes(StandardCharsets.UTF_8));
  }

  String html() {
    List<String> sections = new ArrayList<>();
    groups.ifPresent(some -> sections.add(AccuracySections.measures(some)));
    sections.add(accuracies());
    sections.addAll(courses());
    Map<Path, Double> seconds = new LinkedHashMap<>();
    sections.add(TimeSection.html(times(seconds)));
    Map<Path, Map<String, String>> environments = new LinkedHashMap<>();
    runs.forEach(run -> environments.put(run.folder(), RunHistory.environment(run.folder())));
    RunsSection about = new RunsSection(subjects, runs, environments);
    sections.add(about.configuration());
    sections.add(about.list(seconds));
    sections.add(PublishedSection.html());
    return head() + String.join("", sections) + "</body>\n</html>\n";
  }

  private String head() {
    long done = runs.stream().filter(run -> run.state() == State.FINISHED).count();
    List<String> facts = new ArrayList<>();
    facts.add(counted(runs.size(), "run"));
    if (done < runs.size()) {
      facts.add(done + " of them finished");
    }
    facts.add(
        counted(
            groups.map(some -> some.groups().size()).orElse(0),
            "method or setting",
            "methods and settings"));
    facts.add(counted(orders.size(), "order of tasks", "orders of tasks"));
    StringBuilder html = new StringBuilder();
    html.append("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    html.append("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    html.append("<title>").append(escape(title())).append("</title>\n<style>\n");
    html.append(Style.COLOURS).append(Style.DRAWING).append(Style.PAGE);
    html.append("</style>\n</head>\n<body>\n<h1>").append(escape(title())).append("</h1>\n");
    html.append("<p class=\"lead\">").append(escape(String.join(" · ", facts))).append("</p>\n");
    html.append("<nav>");
    Map<String, String> links = new LinkedHashMap<>();
    if (groups.isPresent()) {
      links.put("measures", "Measures");
    }
    links.put("forgetting", "Forgetting");
    links.put("training", "Training");
    links.put("importance", "Important parameters");
    links.put("time", "Time");
    links.put("settings", "Configuration");
    links.put("runs", "Runs");
    links.put("published", "Published");
    links.forEach(
        (id, name) ->
            html.append("<a href=\"#").append(id).append("\">").append(name).append("</a>"));
    return html.append("</nav>\n").toString();
  }

  private String title() {
    return subjects.size() == 1 && runs.size() == 1
        ? subjects.getFirst().label() + ": what is learned and what is forgotten"
        : "What is learned and what is forgotten";
  }

  private static String counted(int count, String one) {
    return counted(count, one, one + "s");
  }

  private static String counted(int count, String one, String many) {
    return count + " " + (count == 1 ? one : many);
  }

  private String key() {
    if (subjects.size() < 2) {
      return "";
    }
    StringBuilder html = new StringBuilder("<p class=\"key\">");
    subjects.forEach(
        subject ->
            html.append(
                "<span><i style=\"background:%s\"></i>%s</span>"
                    .formatted(subject.colour(), escape(subject.label()))));
    return html.append("</p>\n").toString();
  }

  private String accuracies() {
    StringBuilder html =
        new StringBuilder("<section id=\"forgetting\">\n<h2>Learned and forgotten</h2>\n");
    html.append(key());
    html.append(AccuracySections.anytime(subjects));
    for (int i = 0; i < orders.size(); i++) {
      List<String> order = orders.get(i);
      boolean open = i == 0;
      String name =
          (orders.size() > 1 ? "Order " + (i + 1) + ": " : "") + String.join(" → ", order);
      html.append(open ? "<h3>" : "<details><summary>").append(escape(name));
      html.append(open ? "</h3>\n" : "</summary>\n");
      html.append(AccuracySections.forgetting(subjects, order));
      html.append("<h3>Accuracy after each task</h3>\n");
      html.append(AccuracySections.matrices(subjects, order));
      html.append(open ? "" : "</details>\n");
    }
    return html.append("</section>\n").toString();
  }

  /** Of each subject one run, the first; its history is long, so it is read once and let go. */
  private List<String> courses() {
    StringBuilder losses = new StringBuilder();
    StringBuilder classes = new StringBuilder();
    StringBuilder maps = new StringBuilder();
    int mapped = 0;
    int left = 0;
    for (Subject subject : subjects.subList(0, Math.min(COURSES, subjects.size()))) {
      RunSummary run = subject.runs().getFirst();
      RunHistory history = RunHistory.read(run.folder());
      String name = Markup.named(subject.label(), run.folder().getFileName());
      losses.append(TrainingSections.loss(name, history));
      classes.append(TrainingSections.classes(name, history));
      ImportanceSection importance = new ImportanceSection(name, history);
      if (!importance.isEmpty()) {
        if (mapped < MAPS) {
          maps.append("<h3>").append(escape(name)).append("</h3>\n");
          maps.append(importance.html(mapped == 0));
          mapped++;
        } else {
          left++;
        }
      }
    }
    List<String> sections = new ArrayList<>();
    String which =
        subjects.stream().anyMatch(subject -> subject.runs().size() > 1)
            ? "<p class=\"note\">One run of each, the first.</p>\n"
            : "";
    if (subjects.size() > COURSES) {
      which +=
          "<p class=\"note\">Shown for the first %d of %d.</p>\n"
              .formatted(COURSES, subjects.size());
    }
    sections.add(
        "<section id=\"training\">\n<h2>Loss and learning rate</h2>\n"
            + (losses.isEmpty()
                ? "<p>These runs have recorded no updates.</p>\n"
                : which
                    + Markup.caption(
                        "Orange: loss on new data, which starts high with each new task (dashed"
                            + " lines). Blue: on replayed memory, where a method replays apart; it"
                            + " rises where old tasks are being overwritten. Below: the learning"
                            + " rate, which starts again with each task.")
                    + "<div class=\"charts\">\n"
                    + losses
                    + "</div>\n")
            + "</section>\n");
    StringBuilder html =
        new StringBuilder("<section id=\"importance\">\n<h2>Important parameters</h2>\n");
    if (classes.isEmpty()) {
      html.append("<p>No fusion was recorded: these methods merge nothing by importance.</p>\n");
    } else {
      html.append(
          """
          <p class="key"><span><i style="background:var(--shared)"></i>shared</span>
          <span><i style="background:var(--new)"></i>new task only</span>
          <span><i style="background:var(--old)"></i>history only</span>
          <span><i style="background:var(--redundant)"></i>redundant</span></p>
          """);
      html.append(
          Markup.caption(
              "To what parameters are important, fusion after fusion. A shared layer that grows"
                  + " thin says that new and old tasks come to use different parameters. The first"
                  + " task has no fusion: there is nothing to keep yet."));
      html.append("<div class=\"charts\">\n").append(classes).append("</div>\n");
      html.append("<h3>Where they are</h3>\n");
      html.append(
          maps.isEmpty()
              ? "<p>These runs did not record it; runs of this version do.</p>\n"
              : maps.toString());
      if (left > 0) {
        html.append(
            "<p class=\"note\">Shown for the first %d; %d more have maps.</p>\n"
                .formatted(MAPS, left));
      }
    }
    sections.add(html.append("</section>\n").toString());
    return sections;
  }

  private SequencedMap<String, List<Map<Part, Double>>> times(Map<Path, Double> totals) {
    SequencedMap<String, List<Map<Part, Double>>> times = new LinkedHashMap<>();
    for (Subject subject : subjects) {
      List<Map<Part, Double>> of = new ArrayList<>();
      for (RunSummary run : subject.runs()) {
        Map<Part, Double> parts = TimeSection.byPart(RunHistory.seconds(run.folder()));
        if (!parts.isEmpty()) {
          of.add(parts);
          totals.put(run.folder(), parts.values().stream().mapToDouble(time -> time).sum());
        }
      }
      times.put(subject.label(), of);
    }
    return times;
  }
}
