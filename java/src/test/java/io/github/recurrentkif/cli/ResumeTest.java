package io.github.recurrentkif.cli;

import static io.github.recurrentkif.cli.TestRuns.assertSameFiles;
import static io.github.recurrentkif.cli.TestRuns.awaitWork;
import static io.github.recurrentkif.cli.TestRuns.lasting;
import static io.github.recurrentkif.cli.TestRuns.resume;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.experiment.MethodName;
import io.github.recurrentkif.runtime.OperatorLibrary;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.SortedMap;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Kills real runs at random moments and lets them go on. The build kills a few times; {@code
 * -Dkif.kills=N} kills at least N times over all methods.
 */
class ResumeTest {

  /** Of all kills together; 0 for as many as the build has time for. */
  private static final int KILLS = Integer.getInteger("kif.kills", 0);

  @TempDir private Path folder;
  private TestRuns runs;

  @BeforeEach
  void writeModelAndTasks() {
    runs = new TestRuns(folder);
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

  private static int kills(MethodName method) {
    int methods = MethodName.values().length;
    if (KILLS > 0) {
      return (KILLS + methods - 1) / methods;
    }
    return method == MethodName.RECURRENT_KIF ? 3 : 1;
  }

  @ParameterizedTest
  @EnumSource
  void a_run_killed_at_random_moments_ends_with_the_very_files_of_an_uninterrupted_one(
      MethodName method) throws Exception {
    killAtRandom(method, kills(method));
  }

  @ParameterizedTest
  @ValueSource(strings = {"bf16", "bf16-backward"})
  void so_does_one_of_another_precision(String precision) throws Exception {
    if (OperatorLibrary.search().library().filter(OperatorLibrary::fastBf16).isEmpty()) {
      skip("other precisions need operators on a processor with fast bfloat16");
    }
    killAtRandom(MethodName.RECURRENT_KIF, 1, "precision=" + precision);
  }

  private static void skip(String reason) {
    System.out.println("SKIPPED: " + reason);
    Assumptions.abort(reason);
  }

  private void killAtRandom(MethodName method, int kills, String... settings) throws Exception {
    Path whole = folder.resolve("whole");
    long start = System.nanoTime();
    assertEquals(0, runs.inThisProcess(runs.train(method.text(), whole, settings)), runs.said());
    long milliseconds = (System.nanoTime() - start) / 1_000_000;

    Path run = folder.resolve("killed");
    long seed = System.nanoTime();
    Random random = new Random(seed);
    int killed = 0;
    int anew = 0;
    List<String> arguments = runs.train(method.text(), run, settings);
    // A run that came to its end before its kill begins anew, so that every kill counts.
    while (killed < kills) {
      Process process = runs.inAnother(arguments);
      awaitWork(process, run, TestRuns.events(run));
      process.waitFor(random.nextLong(milliseconds / kills + 1), TimeUnit.MILLISECONDS);
      if (process.isAlive()) {
        process.destroyForcibly().waitFor();
        killed++;
        arguments = resume(run);
      } else {
        assertEquals(0, process.exitValue(), runs.output());
        assertSameFiles(whole, run);
        run = folder.resolve("killed-" + ++anew);
        arguments = runs.train(method.text(), run, settings);
      }
      assertTrue(Files.exists(run.resolve("configuration.json")) || arguments.contains("train"));
    }
    assertEquals(0, runs.inThisProcess(arguments), "seed " + seed + ": " + runs.said());
    assertSameFiles(whole, run);
    if (KILLS > 0) {
      System.out.println(method.text() + ": killed " + killed + " times, equal files");
    }
  }

  @ParameterizedTest
  @CsvSource({"INT, 130", "TERM, 143"})
  @DisabledOnOs(OS.WINDOWS) // It has no such signals.
  void an_interrupted_run_ends_cleanly_and_goes_on_to_the_same_files(String signal, int status)
      throws Exception {
    if (signal.equals("INT") && ignoresInterrupts()) {
      skip("Ctrl-C means nothing here: a shell began this in the background");
    }
    Path whole = folder.resolve("whole");
    assertEquals(0, runs.inThisProcess(runs.train("recurrent-kif", whole)));

    Path run = folder.resolve("interrupted");
    Process process = runs.inAnother(runs.train("recurrent-kif", run));
    awaitWork(process, run, 0);
    new ProcessBuilder("kill", "-" + signal, String.valueOf(process.pid())).start().waitFor();
    assertTrue(process.waitFor(60, TimeUnit.SECONDS), "it does not end");
    assertEquals(status, process.exitValue(), runs.output());
    assertTrue(runs.output().strip().endsWith("go on with: kif resume " + run), runs.output());
    assertTrue(Files.notExists(run.resolve("result.json")));

    assertEquals(0, runs.inThisProcess(resume(run)));
    assertSameFiles(whole, run);
  }

  @Test
  void a_finished_run_is_only_shown_again() throws Exception {
    Path run = folder.resolve("run");
    assertEquals(0, runs.inThisProcess(runs.train("sequential-lora", run)));
    SortedMap<String, byte[]> before = lasting(run);
    assertEquals(0, runs.inThisProcess(resume(run)));
    SortedMap<String, byte[]> after = lasting(run);
    assertEquals(before.keySet(), after.keySet());
    before.forEach((name, bytes) -> assertArrayEquals(bytes, after.get(name), name));
  }
}
