package io.github.recurrentkif.cli;

import static io.github.recurrentkif.cli.TestRuns.assertSameFiles;
import static io.github.recurrentkif.cli.TestRuns.awaitWork;
import static io.github.recurrentkif.cli.TestRuns.lasting;
import static io.github.recurrentkif.cli.TestRuns.resume;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.experiment.Build;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.security.MessageDigest;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.SortedMap;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;

/**
 * What befalls a run besides being killed: each has its message, and nothing is lost. {@code
 * -Dkif.method=METHOD} tries it with the runs of another method.
 */
class SurvivalTest {

  /** Short, and with checkpoints larger than what is written before training. */
  private static final String[] SHORT = {"epochs=3", "lora-rank=16", "prompt-length=50"};

  private static final String METHOD = System.getProperty("kif.method", "recurrent-kif");

  @TempDir private static Path shared;
  private static Path whole;

  @TempDir private Path folder;
  private TestRuns runs;
  private Path run;

  /** Once: what every interrupted run must come to. */
  @BeforeAll
  static void runToTheEnd() {
    whole = shared.resolve("whole");
    TestRuns runs = new TestRuns(shared);
    assertEquals(0, runs.inThisProcess(train(runs, whole)), runs.said());
  }

  @BeforeEach
  void useTheSameModelAndTasks() {
    runs = new TestRuns(folder, shared);
    run = folder.resolve("run");
  }

  private static List<String> train(TestRuns runs, Path output) {
    return runs.train(METHOD, output, SHORT);
  }

  private List<String> train(Path output) {
    return train(runs, output);
  }

  private static void skip(String reason) {
    System.out.println("SKIPPED: " + reason);
    Assumptions.abort(reason);
  }

  private void interrupt(Process process) throws Exception {
    new ProcessBuilder("kill", "-TERM", String.valueOf(process.pid())).start().waitFor();
    assertTrue(process.waitFor(60, TimeUnit.SECONDS), "it does not end");
  }

  /** A run that was killed at work. */
  private void killedRun() throws Exception {
    Process process = runs.inAnother(train(run));
    awaitWork(process, run, 2000);
    process.destroyForcibly().waitFor();
    assertTrue(Files.notExists(run.resolve("result.json")), "it was too fast to be killed");
  }

  @Test
  void where_the_newest_checkpoint_is_damaged_the_one_before_it_goes_on_to_the_same_files()
      throws Exception {
    killedRun();
    for (String damage : List.of("cut", "empty", "bit", "gone")) {
      Path damaged = folder.resolve(damage);
      copy(run, damaged);
      Path newest = damaged.resolve("checkpoint.safetensors");
      try (RandomAccessFile file = new RandomAccessFile(newest.toFile(), "rw")) {
        switch (damage) {
          case "cut" -> file.setLength(file.length() - 100);
          case "empty" -> file.setLength(0);
          case "bit" -> {
            file.seek(file.length() - 900);
            int old = file.read();
            file.seek(file.length() - 900);
            file.write(old ^ 4);
          }
          // As between the two renames that make a checkpoint the newest.
          default -> Files.delete(newest);
        }
      }
      assertEquals(0, runs.inThisProcess(resume(damaged)), runs.said());
      boolean said = runs.said().contains(newest + " is damaged");
      assertEquals(!damage.equals("gone"), said, runs.said());
      assertSameFiles(whole, damaged);
    }
  }

  private static void copy(Path from, Path to) throws IOException {
    for (var file : lasting(from).entrySet()) {
      Path target = to.resolve(file.getKey());
      Files.createDirectories(target.getParent());
      Files.write(target, file.getValue());
    }
  }

  @Test
  void where_no_checkpoint_is_whole_nothing_is_touched() throws Exception {
    killedRun();
    Files.write(run.resolve("checkpoint.safetensors"), new byte[0]);
    Files.write(run.resolve("checkpoint.previous.safetensors"), new byte[7]);
    SortedMap<String, byte[]> before = lasting(run);
    assertEquals(2, runs.inThisProcess(resume(run)));
    assertTrue(runs.said().contains("damaged") && runs.said().contains("the one before it"));
    SortedMap<String, byte[]> after = lasting(run);
    before.keySet().removeIf(name -> name.endsWith(".tmp"));
    assertEquals(before.keySet(), after.keySet());
    before.forEach((name, bytes) -> assertArrayEquals(bytes, after.get(name), name));
  }

  /** No file may grow beyond a limit: the kernel refuses as a full disk does, in mid-write. */
  @Test
  @DisabledOnOs(OS.WINDOWS) // It has no such limits.
  void a_full_disk_ends_the_run_with_the_command_that_goes_on() throws Exception {
    // Room for what is written before training. sh counts in blocks of 512 bytes, bash of 1024.
    long needed =
        Math.max(
            Files.size(whole.resolve("provenance.json")),
            Files.size(whole.resolve("configuration.json")));
    long blocks = Math.ceilDiv(needed, 512);
    assertTrue(blocks * 1024 < Files.size(whole.resolve("checkpoint.safetensors")));
    List<String> command =
        new ArrayList<>(List.of("sh", "-c", "ulimit -f " + blocks + " && exec \"$@\"", "sh"));
    command.addAll(TestRuns.command(train(run)));
    Process process = runs.start(command);
    assertTrue(process.waitFor(60, TimeUnit.SECONDS), "it does not end");
    String said = runs.output();
    assertEquals(2, process.exitValue(), said);
    assertTrue(said.contains("cannot be written: File too large"), said);
    assertTrue(said.strip().endsWith("go on with: kif resume " + run), said);
    assertEquals(0, runs.inThisProcess(resume(run)), runs.said());
    assertSameFiles(whole, run);
  }

  @Test
  @DisabledOnOs(OS.WINDOWS)
  void a_small_file_system_that_is_full_loses_nothing() throws Exception {
    Path small = Files.createDirectory(folder.resolve("small"));
    long size = 0;
    for (byte[] bytes : lasting(whole).values()) {
      size += (bytes.length + 4095L) / 4096 * 4096;
    }
    String options = "size=" + size / 2;
    if (!succeeds("mount", "-t", "tmpfs", "-o", options, "tmpfs", small.toString())) {
      skip("only root may mount a small file system");
    }
    try {
      Path output = small.resolve("run");
      assertEquals(2, runs.inThisProcess(train(output)), runs.said());
      assertTrue(runs.said().contains("cannot be written: No space left"), runs.said());
      assertTrue(runs.said().strip().endsWith("go on with: kif resume " + output), runs.said());
      assertTrue(
          succeeds("mount", "-o", "remount,size=" + 4 * size, small.toString()), "no more room");
      assertEquals(0, runs.inThisProcess(resume(output)), runs.said());
      assertSameFiles(whole, output);
    } finally {
      assertTrue(succeeds("umount", small.toString()));
    }
  }

  private static boolean succeeds(String... command) throws Exception {
    try {
      return new ProcessBuilder(command).redirectErrorStream(true).start().waitFor() == 0;
    } catch (IOException e) {
      return false;
    }
  }

  @Test
  void a_folder_that_cannot_be_made_is_named() throws IOException {
    Path below = Files.createFile(folder.resolve("file")).resolve("run");
    assertEquals(2, runs.inThisProcess(train(below)));
    assertTrue(runs.said().contains(below + ": the run folder cannot be made"), runs.said());
  }

  @Test
  @DisabledOnOs(OS.WINDOWS)
  void a_folder_that_cannot_be_written_any_more_is_named_and_goes_on_when_it_can()
      throws Exception {
    killedRun();
    if (!succeeds("mount", "--bind", run.toString(), run.toString())) {
      skip("only root may make a folder read-only for root");
    }
    try {
      assertTrue(succeeds("mount", "-o", "remount,bind,ro", run.toString()), "not read-only");
      assertEquals(2, runs.inThisProcess(resume(run)));
      assertTrue(runs.said().contains(run.toString()), runs.said());
      assertTrue(runs.said().contains("Read-only"), runs.said());
    } finally {
      assertTrue(succeeds("umount", run.toString()));
    }
    assertEquals(0, runs.inThisProcess(resume(run)), runs.said());
    assertSameFiles(whole, run);
  }

  @Test
  void of_two_processes_on_one_folder_the_second_is_refused_and_the_first_goes_on()
      throws Exception {
    Process first = runs.inAnother(train(run));
    awaitWork(first, run, 0);
    assertEquals(2, runs.inThisProcess(resume(run)), runs.said());
    assertTrue(runs.said().contains("another process works on this run"), runs.said());
    assertEquals(2, runs.inThisProcess(train(run)), runs.said());
    assertTrue(runs.said().contains("already holds a run"), runs.said());
    assertTrue(first.waitFor(60, TimeUnit.SECONDS), "it does not end");
    assertEquals(0, first.exitValue(), runs.output());
    assertSameFiles(whole, run);
  }

  @Test
  @DisabledOnOs(OS.WINDOWS) // It has no such signal.
  void an_interruption_before_training_says_that_nothing_is_lost() throws Exception {
    for (int milliseconds = 300; milliseconds < 5000; milliseconds += 200) {
      Path output = folder.resolve("early-" + milliseconds);
      Process process = runs.inAnother(train(output));
      process.waitFor(milliseconds, TimeUnit.MILLISECONDS);
      boolean begun = Files.exists(output.resolve("events.jsonl"));
      interrupt(process);
      if (runs.output().contains("stopped before training")) {
        return;
      }
      // Too early for Java to listen, or too late.
      assertTrue(!begun, "none of the signals came before training: " + runs.output());
    }
  }

  /** As where the clock was far ahead while the run went on, and was then set right. */
  @Test
  void files_from_the_future_go_on_to_the_same_files() throws Exception {
    killedRun();
    Instant future = Instant.now().plus(Duration.ofDays(36_500));
    try (var files = Files.walk(run)) {
      for (Path file : files.toList()) {
        Files.setLastModifiedTime(file, FileTime.from(future));
      }
    }
    assertEquals(0, runs.inThisProcess(List.of("runs", run.toString())), runs.said());
    assertTrue(runs.said().contains("0 s ago"), runs.said());
    assertEquals(0, runs.inThisProcess(resume(run)), runs.said());
    assertSameFiles(whole, run);
  }

  @Test
  void the_provenance_says_what_a_run_was_made_with() throws Exception {
    JsonNode provenance = new ObjectMapper().readTree(whole.resolve("provenance.json").toFile());
    Path weights = shared.resolve("model/model.safetensors");
    Path task = shared.resolve("data/train/alpha.json");
    assertEquals(hash(weights), provenance.at("/inputs/model~1model.safetensors").asString());
    assertEquals(hash(task), provenance.at("/inputs/data~1alpha~1train").asString());
    JsonNode environment = provenance.path("environment");
    for (String key :
        List.of("kif", "java", "machine", "onnx_runtime", "kernels", "graph", "instructions")) {
      assertTrue(environment.has(key), key);
    }
    assertEquals(Build.current().text(), environment.path("kif").asString());
    assertTrue(environment.path("kif").asString().contains("commit"), environment.toString());
    assertTrue(environment.path("kernels").asString().contains("1 thread"), environment.toString());
  }

  private static String hash(Path file) throws Exception {
    byte[] bytes = Files.readAllBytes(file);
    String digest = HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
    return digest + " " + bytes.length + " bytes";
  }

  @Test
  void any_number_of_threads_gives_the_same_bits() throws Exception {
    assertEquals(0, runs.inThisProcess(runs.train(METHOD, run, "epochs=1")), runs.said());
    for (int threads : new int[] {2, 3}) {
      Path other = folder.resolve("threads-" + threads);
      assertEquals(
          0, runs.inThisProcess(runs.train(METHOD, other, "epochs=1", "threads=" + threads)));
      SortedMap<String, byte[]> expected = lasting(run);
      SortedMap<String, byte[]> found = lasting(other);
      assertEquals(expected.keySet(), found.keySet());
      for (String name : expected.keySet()) {
        if (name.equals("provenance.json")) {
          continue; // It tells of the machine.
        }
        String text = new String(found.get(name), StandardCharsets.ISO_8859_1);
        text = text.replace("\"threads\" : \"" + threads + "\"", "\"threads\" : \"1\"");
        assertArrayEquals(
            expected.get(name),
            text.getBytes(StandardCharsets.ISO_8859_1),
            threads + " threads: " + name);
      }
    }
  }

  @Test
  void a_command_line_of_many_kilobytes_is_no_trouble() throws Exception {
    List<String> command = new ArrayList<>(TestRuns.command(List.of("doctor")));
    command.add(1, "-Dlong=" + "x".repeat(40_000));
    Process process = runs.start(command);
    assertTrue(process.waitFor(60, TimeUnit.SECONDS), "it does not end");
    assertEquals(0, process.exitValue(), runs.output());
  }
}
