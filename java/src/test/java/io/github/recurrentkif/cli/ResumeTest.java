package io.github.recurrentkif.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.SmallModel;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Kills real runs at random moments and lets them go on. */
class ResumeTest {

  @TempDir private Path folder;
  private Path model;
  private Path data;

  @BeforeEach
  void writeModelAndTasks() {
    model = SmallModel.writeModel(folder.resolve("model"));
    data = SmallModel.writeTasks(folder.resolve("data"));
  }

  private List<String> train(String method, Path run) {
    return List.of(
        "train",
        "--model=" + model,
        "--data=" + data,
        "--tasks=" + String.join(",", SmallModel.TASKS),
        "--method=" + method,
        "--output=" + run,
        "--set=epochs=8",
        "--set=accumulation=2",
        "--set=cycle-length=3",
        "--set=outer-steps=2",
        "--set=memory-percent=20",
        "--set=memory-batch-size=4",
        "--set=warmup-updates=4",
        "--set=learning-rate=0.01",
        "--set=maximum-new-tokens=6",
        "--set=evaluation-batch-size=2",
        "--set=lora-rank=3",
        "--set=threads=1",
        // A checkpoint after every update: many chances to be killed while one is written.
        "--set=checkpoint-seconds=0");
  }

  private static int inThisProcess(List<String> arguments) {
    PrintStream nowhere =
        new PrintStream(new ByteArrayOutputStream(), true, StandardCharsets.UTF_8);
    return Main.run(
        new Terminal(nowhere, nowhere, false, false, 80), arguments.toArray(String[]::new));
  }

  private Process inAnother(List<String> arguments) throws IOException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(List.of("--enable-native-access=ALL-UNNAMED", "-XX:TieredStopAtLevel=1"));
    command.addAll(List.of("-cp", System.getProperty("java.class.path"), Main.class.getName()));
    command.addAll(arguments);
    return new ProcessBuilder(command)
        .redirectErrorStream(true)
        .redirectOutput(folder.resolve("output.txt").toFile())
        .start();
  }

  private String output() throws IOException {
    return Files.readString(folder.resolve("output.txt"));
  }

  /** Shells let background jobs ignore SIGINT, and whatever those start inherits it. */
  private static boolean ignoresInterrupts() throws IOException {
    Path status = Path.of("/proc/self/status");
    if (!Files.isReadable(status)) {
      return false;
    }
    long sigint = 1L << 1;
    return Files.readAllLines(status).stream()
        .filter(line -> line.startsWith("SigIgn:"))
        .anyMatch(line -> (Long.parseUnsignedLong(line.substring(7).strip(), 16) & sigint) != 0);
  }

  /** Waits until the run has written more, so that the next kill meets it at work. */
  private static void awaitWork(Process process, Path run, long known) throws Exception {
    Path events = run.resolve("events.jsonl");
    while (process.isAlive() && (!Files.exists(events) || Files.size(events) <= known)) {
      Thread.sleep(2);
    }
  }

  private static long length(Path file) throws IOException {
    return Files.exists(file) ? Files.size(file) : 0;
  }

  /** Everything a run leaves that does not tell of time or machine, by path. */
  private static SortedMap<String, byte[]> lasting(Path run) throws IOException {
    SortedMap<String, byte[]> files = new TreeMap<>();
    try (var paths = Files.walk(run)) {
      for (Path file : paths.filter(Files::isRegularFile).toList()) {
        String name = run.relativize(file).toString();
        if (!name.equals("run.lock")) {
          files.put(name, Files.readAllBytes(file));
        }
      }
    }
    return files;
  }

  private static void assertSameFiles(Path expected, Path found) throws IOException {
    SortedMap<String, byte[]> wanted = lasting(expected);
    SortedMap<String, byte[]> files = lasting(found);
    assertEquals(wanted.keySet(), files.keySet());
    for (String name : wanted.keySet()) {
      assertArrayEquals(wanted.get(name), files.get(name), name);
    }
  }

  @ParameterizedTest
  @CsvSource({"recurrent-kif, 5", "sequential-lora, 2", "lora-replay, 2"})
  void a_run_killed_at_random_moments_ends_with_the_very_files_of_an_uninterrupted_one(
      String method, int kills) throws Exception {
    Path whole = folder.resolve("whole");
    long start = System.nanoTime();
    assertEquals(0, inThisProcess(train(method, whole)));
    long milliseconds = (System.nanoTime() - start) / 1_000_000;

    Path run = folder.resolve("killed");
    long seed = System.nanoTime();
    Random random = new Random(seed);
    int killed = 0;
    List<String> arguments = train(method, run);
    for (int i = 0; i < kills; i++) {
      long known = length(run.resolve("events.jsonl"));
      Process process = inAnother(arguments);
      awaitWork(process, run, known);
      process.waitFor(random.nextLong(milliseconds / kills + 1), TimeUnit.MILLISECONDS);
      killed += process.isAlive() ? 1 : 0;
      process.destroyForcibly().waitFor();
      assertTrue(Files.exists(run.resolve("configuration.json")), output());
      arguments = List.of("resume", run.toString());
    }
    assertTrue(killed > 0, "no kill came in time, seed " + seed + ": " + output());
    assertEquals(0, inThisProcess(arguments), "seed " + seed);
    assertSameFiles(whole, run);
  }

  @ParameterizedTest
  @CsvSource({"INT, 130", "TERM, 143"})
  @DisabledOnOs(OS.WINDOWS) // It has no such signals.
  void an_interrupted_run_ends_cleanly_and_goes_on_to_the_same_files(String signal, int status)
      throws Exception {
    if (signal.equals("INT") && ignoresInterrupts()) {
      String reason = "SKIPPED: Ctrl-C means nothing here: a shell began this in the background";
      System.out.println(reason);
      Assumptions.abort(reason);
    }
    Path whole = folder.resolve("whole");
    assertEquals(0, inThisProcess(train("recurrent-kif", whole)));

    Path run = folder.resolve("interrupted");
    Process process = inAnother(train("recurrent-kif", run));
    awaitWork(process, run, 0);
    new ProcessBuilder("kill", "-" + signal, String.valueOf(process.pid())).start().waitFor();
    assertTrue(process.waitFor(60, TimeUnit.SECONDS), "it does not end");
    assertEquals(status, process.exitValue(), output());
    assertTrue(output().contains("kif resume " + run), output());
    assertTrue(Files.notExists(run.resolve("result.json")));

    assertEquals(0, inThisProcess(List.of("resume", run.toString())));
    assertSameFiles(whole, run);
  }

  @Test
  void a_finished_run_is_only_shown_again() throws Exception {
    Path run = folder.resolve("run");
    assertEquals(0, inThisProcess(train("sequential-lora", run)));
    SortedMap<String, byte[]> before = lasting(run);
    assertEquals(0, inThisProcess(List.of("resume", run.toString())));
    SortedMap<String, byte[]> after = lasting(run);
    assertEquals(before.keySet(), after.keySet());
    before.forEach((name, bytes) -> assertArrayEquals(bytes, after.get(name), name));
  }
}
