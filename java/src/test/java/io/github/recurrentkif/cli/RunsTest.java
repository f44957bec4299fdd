package io.github.recurrentkif.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;

/** {@code kif runs} and {@code kif compare} on folders of real runs. */
class RunsTest {

  private static final String[] SHORT = {"epochs=1", "maximum-train-samples=8"};

  @TempDir private Path folder;
  private String out = "";
  private String err = "";

  private int kif(String... arguments) {
    ByteArrayOutputStream results = new ByteArrayOutputStream();
    ByteArrayOutputStream errors = new ByteArrayOutputStream();
    int status =
        Main.run(
            new Terminal(
                new PrintStream(results, true, StandardCharsets.UTF_8),
                new PrintStream(errors, true, StandardCharsets.UTF_8),
                false,
                false,
                80),
            arguments);
    out = results.toString(StandardCharsets.UTF_8);
    err = errors.toString(StandardCharsets.UTF_8);
    return status;
  }

  private static List<String> with(List<String> arguments, String... more) {
    List<String> all = new ArrayList<>(arguments);
    all.addAll(List.of(more));
    return all;
  }

  private static String line(String text, String beginning) {
    return text.lines().filter(line -> line.startsWith(beginning)).findFirst().orElse("no line");
  }

  private static void copy(Path from, Path to) throws IOException {
    Files.createDirectories(to);
    try (var files = Files.list(from)) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        Files.copy(file, to.resolve(file.getFileName()));
      }
    }
  }

  @Test
  void runs_are_listed_and_compared() throws Exception {
    TestRuns runs = new TestRuns(folder);
    Path all = Files.createDirectories(folder.resolve("runs"));
    for (int seed = 1; seed <= 2; seed++) {
      for (String method : List.of("sequential-lora", "lora-replay")) {
        Path run = all.resolve(method + "-" + seed);
        assertEquals(
            0,
            runs.inThisProcess(with(runs.train(method, run, SHORT), "--set=seed=" + seed)),
            runs.said());
      }
    }
    Path first = all.resolve("lora-replay-1");
    Path stopped = folder.resolve("others/stopped run");
    copy(first, stopped);
    Files.delete(stopped.resolve("result.json"));
    Path broken = folder.resolve("others/broken");
    copy(first, broken);
    Files.writeString(broken.resolve("configuration.json"), "{");

    assertEquals(0, kif("runs", folder.toString()), err);
    assertTrue(line(out, "runs/lora-replay-1").contains("finished"), out);
    assertTrue(line(out, "runs/lora-replay-1").contains("4 of 4"), out);
    assertTrue(line(out, "others/stopped run").contains("stopped"), out);
    assertTrue(out.contains("go on with: kif resume '" + stopped + "'"), out);
    assertTrue(line(out, "others/broken").contains("unreadable"), out);
    assertTrue(out.contains(broken.resolve("configuration.json").toString()), out);

    assertEquals(0, kif("runs", folder.toString(), "--json"), err);
    JsonNode json = new ObjectMapper().readTree(out);
    assertEquals(6, json.size());
    for (JsonNode run : json) {
      if (run.path("folder").asString().equals(stopped.toString())) {
        assertEquals("stopped", run.path("state").asString());
        assertEquals(3, run.path("resume").size());
        assertEquals(4, run.path("tasks_done").asInt());
      }
    }

    assertEquals(0, kif("compare", all.toString()), err);
    assertTrue(line(out, "lora-replay").contains(" ± "), out);
    assertTrue(out.contains("no p for sequential-lora: 2 seeds in common"), out);
    assertEquals(0, kif("compare", folder.toString(), "--format", "csv"), err);
    assertTrue(err.contains(stopped + " is left out: it is stopped"), err);
    assertTrue(out.startsWith("method,runs,op_mean,op_sd,op_p,bwt_mean"), out);
    assertEquals(0, kif("compare", all.toString(), "--format=markdown"), err);
    assertTrue(out.contains("| --- |") && out.contains("| lora-replay | 2 |"), out);
    assertEquals(0, kif("compare", all.toString(), "--format=latex"), err);
    assertTrue(out.contains("\\pm") && out.contains("OP \\%"), out);
    assertFalse(out.lines().anyMatch(line -> line.startsWith("mean")), out);

    // Another order is another stream.
    Path other = folder.resolve("other");
    List<String> reversed = new ArrayList<>(runs.train("lora-replay", other, SHORT));
    reversed.replaceAll(a -> a.startsWith("--tasks=") ? "--tasks=delta,gamma,beta,alpha" : a);
    assertEquals(0, runs.inThisProcess(reversed), runs.said());
    assertEquals(2, kif("compare", first.toString(), other.toString()));
    assertTrue(err.contains("different streams") && err.contains("delta,gamma"), err);
    assertEquals(0, kif("compare", first.toString(), other.toString(), "--across-streams"), err);
    assertTrue(out.contains("mixed: the runs learned 2 different streams"), out);
    assertEquals(2, kif("compare", first.toString(), first.toString()));
    assertTrue(err.contains("the same run"), err);

    // A run that somebody works on.
    Process process = runs.inAnother(runs.train("recurrent-kif", folder.resolve("busy")));
    TestRuns.awaitWork(process, folder.resolve("busy"), 0);
    assertEquals(0, kif("runs", folder.resolve("busy").toString()), err);
    assertTrue(out.contains("running"), out);
    process.destroyForcibly().waitFor();
    assertEquals(0, kif("runs", folder.resolve("busy").toString()), err);
    assertTrue(out.contains("stopped"), out);
  }

  @Test
  void a_folder_without_runs_says_so() {
    assertEquals(0, kif("runs", folder.toString()), err);
    assertTrue(out.contains("no runs in " + folder), out);
    assertEquals(2, kif("runs", folder.resolve("none").toString()));
    assertTrue(err.contains("no such folder"), err);
    assertEquals(2, kif("compare", folder.toString()));
    assertTrue(err.contains("holds no run"), err);
  }

  @Test
  void ages_are_readable_even_where_a_clock_was_set_back() {
    assertEquals("0 s ago", RunsCommand.age(Duration.ofHours(-3)));
    assertEquals("59 s ago", RunsCommand.age(Duration.ofSeconds(59)));
    assertEquals("59 min ago", RunsCommand.age(Duration.ofSeconds(3599)));
    assertEquals("47 h ago", RunsCommand.age(Duration.ofHours(47)));
    assertEquals("2 days ago", RunsCommand.age(Duration.ofDays(2)));
  }
}
