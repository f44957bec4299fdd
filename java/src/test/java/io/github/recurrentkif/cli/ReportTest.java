package io.github.recurrentkif.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.experiment.report.Report;
import java.io.IOException;
import java.io.StringReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.xml.sax.InputSource;

/** {@code kif report} on folders of real runs. */
class ReportTest {

  private static final String[] SHORT = {"epochs=2", "maximum-train-samples=12"};

  @TempDir private static Path shared;
  private static Path all;

  @TempDir private Path folder;

  /** Two methods and two seeds, and one run of another order. */
  @BeforeAll
  static void run() {
    TestRuns runs = new TestRuns(shared);
    all = shared.resolve("runs");
    for (int seed = 1; seed <= 2; seed++) {
      for (String method : List.of("sequential-lora", "recurrent-kif")) {
        List<String> arguments =
            new ArrayList<>(runs.train(method, all.resolve(method + "-" + seed), SHORT));
        arguments.add("--set=seed=" + seed);
        assertEquals(0, runs.inThisProcess(arguments), runs.said());
      }
    }
    List<String> reversed =
        new ArrayList<>(runs.train("recurrent-kif", all.resolve("reversed"), SHORT));
    reversed.replaceAll(a -> a.startsWith("--tasks=") ? "--tasks=delta,gamma,beta,alpha" : a);
    assertEquals(0, runs.inThisProcess(reversed), runs.said());
  }

  private String report(Path... runs) throws IOException {
    Path page = folder.resolve("made/report.html");
    TestRuns command = new TestRuns(folder, shared);
    List<String> arguments = new ArrayList<>(List.of("report", "--output=" + page));
    for (Path run : runs) {
      arguments.add(run.toString());
    }
    assertEquals(0, command.inThisProcess(arguments), command.said());
    return Files.readString(page);
  }

  private Path copy(String run) throws IOException {
    Path target = folder.resolve(run);
    try (var files = Files.walk(all.resolve(run))) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        Path to = target.resolve(all.resolve(run).relativize(file).toString());
        Files.createDirectories(to.getParent());
        Files.copy(file, to);
      }
    }
    return target;
  }

  private static int count(String text, String part) {
    return text.split(Pattern.quote(part), -1).length - 1;
  }

  @Test
  void one_page_tells_of_all_runs_and_needs_nothing_else() throws Exception {
    String html = report(all);
    assertFalse(
        Pattern.compile("https?:|src=|href=\"[^#]|url\\(|@import|<script|<link")
            .matcher(html)
            .find());
    assertTrue(html.contains("prefers-color-scheme: dark") && html.contains("@media print"));
    assertTrue(html.endsWith("</html>\n"));
    assertTrue(html.contains("5 runs · 2 methods and settings · 2 orders of tasks"), html);
    for (String section :
        List.of(
            "measures",
            "forgetting",
            "training",
            "importance",
            "time",
            "settings",
            "runs",
            "published")) {
      assertEquals(1, count(html, "<section id=\"" + section + "\">"), section);
      assertEquals(1, count(html, "<a href=\"#" + section + "\">"), section);
    }
    assertTrue(html.contains("different streams"), "means over orders say so");
    assertEquals(3, count(html, "aria-label=\"accuracy matrix"));
    assertEquals(8, count(html, "aria-label=\"accuracy on "), "a chart for each task and order");
    assertEquals(2, count(html, "aria-label=\"share of important parameters by layer"));
    assertEquals(5, count(html, "<td>finished</td>"));
    assertTrue(html.contains("of another backbone"));
    drawingsAreWholeAndNamed(html);
  }

  /** Well-formed, without a number that is none, with titles on axes, and captions. */
  private static void drawingsAreWholeAndNamed(String html) throws Exception {
    Matcher drawings = Pattern.compile("<svg.*?</svg>", Pattern.DOTALL).matcher(html);
    int drawn = 0;
    while (drawings.find()) {
      var svg =
          DocumentBuilderFactory.newInstance()
              .newDocumentBuilder()
              .parse(new InputSource(new StringReader(drawings.group())));
      assertFalse(drawings.group().contains("NaN"), drawings.group());
      assertFalse(svg.getDocumentElement().getAttribute("aria-label").isEmpty());
      assertTrue(svg.getElementsByTagName("text").getLength() >= 4, drawings.group());
      drawn++;
    }
    assertTrue(drawn >= 12, "drawings: " + drawn);
    Matcher sections = Pattern.compile("<section.*?</section>", Pattern.DOTALL).matcher(html);
    while (sections.find()) {
      if (sections.group().contains("<svg")) {
        assertTrue(
            sections.group().contains("<figcaption>") || sections.group().contains("\"caption\""),
            sections.group());
      }
    }
  }

  @Test
  void one_run_is_enough() throws Exception {
    String html = report(all.resolve("recurrent-kif-1"));
    assertTrue(html.contains("<title>recurrent-kif: what is learned"), html);
    assertFalse(html.contains(" ± "), "one run has no spread");
    assertFalse(html.contains("In what the runs differ"));
    drawingsAreWholeAndNamed(html);
  }

  @Test
  void what_a_run_did_not_record_is_left_out() throws Exception {
    Path old = copy("recurrent-kif-1");
    Files.delete(old.resolve("times.json"));
    Path events = old.resolve("events.jsonl");
    Files.write(
        events,
        Files.readAllLines(events).stream()
            .filter(line -> !line.contains("\"tensors\""))
            .map(line -> line.replaceFirst(",\"by_tensor\":\\{.*?\\}", ""))
            .toList());
    String html = report(old);
    assertTrue(html.contains("These runs did not record it"), html);
    assertFalse(html.contains("<section id=\"time\">"));
    Files.delete(events);
    assertTrue(report(old).contains("have recorded no updates"));
  }

  @Test
  void runs_that_are_not_finished_are_listed_and_in_no_mean() throws Exception {
    Path stopped = copy("recurrent-kif-2");
    Files.delete(stopped.resolve("result.json"));
    Path cut = stopped.resolve("events.jsonl");
    byte[] bytes = Files.readAllBytes(cut);
    Files.write(cut, Arrays.copyOf(bytes, bytes.length - 7));
    Path broken = copy("sequential-lora-2");
    Files.writeString(broken.resolve("configuration.json"), "{");
    String html = report(all.resolve("recurrent-kif-1"), stopped, broken);
    assertTrue(html.contains("3 runs · 1 of them finished"), html);
    assertTrue(html.contains("recurrent-kif (unfinished)"), html);
    assertTrue(html.contains("kif resume " + stopped), html);
    assertTrue(html.contains("unreadable"), html);
    assertFalse(html.contains(" ± "));
    drawingsAreWholeAndNamed(html);
    assertTrue(report(stopped).contains("1 run · 0 of them finished"));
  }

  @Test
  void a_run_that_is_named_twice_counts_once() throws Exception {
    assertEquals(5, Report.of(List.of(all, all.resolve("reversed"))).runs().size());
  }

  @Test
  void names_are_no_markup() throws Exception {
    Path named = all.resolveSibling("<b> & \"more\"");
    try {
      Files.move(all.resolve("reversed"), named);
      String html = report(named);
      assertTrue(html.contains("&lt;b&gt; &amp; &quot;more&quot;"), html);
      assertFalse(html.contains("<b> &"), html);
    } finally {
      Files.move(named, all.resolve("reversed"));
    }
  }

  @Test
  void a_folder_without_runs_says_so() {
    TestRuns command = new TestRuns(folder, shared);
    assertEquals(2, command.inThisProcess(List.of("report", folder.toString())));
    assertTrue(command.said().contains("holds no run"), command.said());
  }
}
