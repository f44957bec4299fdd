package io.github.recurrentkif.cli;

import static io.github.recurrentkif.cli.TestRuns.assertSameFiles;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.experiment.FolderLock;
import io.github.recurrentkif.experiment.sweep.SweepListener;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalDouble;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** Real sweeps of runs that take a moment each. */
class SweepTest {

  private static final List<String> RUNS =
      List.of(
          "sequential-lora/seed-1",
          "recurrent-kif,quantile=0.7/seed-1",
          "sequential-lora/seed-2",
          "recurrent-kif,quantile=0.7/seed-2");

  @TempDir private Path folder;
  private TestRuns runs;
  private Path file;

  @BeforeEach
  void writeModelAndTasksAndFile() throws IOException {
    runs = new TestRuns(folder);
    file = folder.resolve("sweep.yaml");
    Files.writeString(
        file,
        """
        model: %1$s/model
        data: %1$s/data
        tasks: [alpha, beta]
        settings:
          epochs: 4
          accumulation: 2
          cycle-length: 3
          outer-steps: 2
          memory-percent: 20
          memory-batch-size: 4
          warmup-updates: 4
          learning-rate: 0.01
          maximum-new-tokens: 4
          lora-rank: 3
          threads: 1
          checkpoint-seconds: 0
        grid:
          methods: [sequential-lora, recurrent-kif: {quantile: 0.7}]
          seeds: [1, 2]
        """
            .formatted(folder));
  }

  private List<String> sweep(Path output, String... more) {
    List<String> arguments =
        new ArrayList<>(List.of("sweep", file.toString(), "--output=" + output));
    arguments.addAll(List.of(more));
    return arguments;
  }

  /** Waits until a run of the sweep has begun to learn. */
  private static void awaitWork(Process process, Path run) throws Exception {
    Path events = run.resolve("events.jsonl");
    while (process.isAlive() && !(Files.exists(events) && Files.size(events) > 0)) {
      Thread.sleep(5);
    }
  }

  @Test
  @DisabledOnOs(OS.WINDOWS) // It has no such signals.
  void a_sweep_that_is_stopped_and_killed_and_has_a_failure_comes_to_the_same_files()
      throws Exception {
    Path whole = folder.resolve("whole");
    assertEquals(0, runs.inThisProcess(sweep(whole, "--only=" + RUNS.get(3))), runs.said());
    assertEquals(0, runs.inThisProcess(sweep(whole)), runs.said());
    assertTrue(runs.said().contains("4 runs, 3 to do"), runs.said());
    assertTrue(runs.said().contains("recurrent-kif"), runs.said());

    // Others are tested against the same method as in the table of the sweep.
    for (Path named : List.of(whole, whole.resolve("runs"))) {
      assertEquals(
          0, runs.inThisProcess(List.of("compare", named.toString(), "--format=csv")), runs.said());
      assertTrue(
          runs.said().contains(Files.readString(whole.resolve("comparison.csv"))), runs.said());
    }

    Path output = folder.resolve("disturbed");
    Path planted = output.resolve("runs").resolve(RUNS.get(1)).resolve("something.txt");
    Files.createDirectories(planted.getParent());
    Files.writeString(output.resolve("sweep.json"), "{}");
    Files.writeString(planted, "of somebody else");

    Process process = runs.inAnother(sweep(output));
    awaitWork(process, output.resolve("runs").resolve(RUNS.get(0)));
    new ProcessBuilder("kill", "-TERM", String.valueOf(process.pid())).start().waitFor();
    assertTrue(process.waitFor(60, TimeUnit.SECONDS), "it does not end");
    assertEquals(143, process.exitValue(), runs.output());
    assertTrue(runs.output().strip().endsWith("the same command goes on"), runs.output());

    process = runs.inAnother(sweep(output));
    awaitWork(process, output.resolve("runs").resolve(RUNS.get(2)));
    process.destroyForcibly().waitFor();

    assertEquals(1, runs.inThisProcess(sweep(output)), runs.said());
    assertTrue(runs.said().contains("1 run failed"), runs.said());
    assertTrue(runs.said().contains(RUNS.get(1) + ": " + planted.getParent()), runs.said());
    assertTrue(runs.said().contains("is not empty and holds no run"), runs.said());
    Path log = output.resolve("logs").resolve(RUNS.get(1) + ".log");
    assertTrue(runs.said().contains("log: " + log) && Files.exists(log), runs.said());

    // It is tried again only where that is asked for.
    Files.delete(planted);
    assertEquals(1, runs.inThisProcess(sweep(output)), runs.said());
    assertTrue(runs.said().contains("4 runs, 0 to do"), runs.said());
    assertEquals(0, runs.inThisProcess(sweep(output, "--retry-failed")), runs.said());
    for (String run : RUNS) {
      assertSameFiles(whole.resolve("runs").resolve(run), output.resolve("runs").resolve(run));
    }
    assertEquals(
        Files.readString(whole.resolve("comparison.csv")),
        Files.readString(output.resolve("comparison.csv")));
    assertFalse(Files.exists(output.resolve("failures").resolve(RUNS.get(1) + ".txt")));

    // Another run under the name of one that is there.
    Files.writeString(file, Files.readString(file).replace("epochs: 4", "epochs: 5"));
    assertEquals(2, runs.inThisProcess(sweep(output)), runs.said());
    assertTrue(runs.said().contains("epochs is 4 there, asked for is 5"), runs.said());
  }

  @Test
  void the_plan_is_shown_and_nothing_is_begun() {
    Path output = folder.resolve("planned");
    assertEquals(0, runs.inThisProcess(sweep(output, "--dry-run", "--unmeasured")), runs.said());
    for (String run : RUNS) {
      assertTrue(runs.said().contains(run), runs.said());
    }
    assertTrue(runs.said().contains("time: unknown"), runs.said());
    assertTrue(Files.notExists(output));
  }

  @Test
  void of_two_sweeps_on_one_folder_the_second_is_refused() throws IOException {
    Path output = Files.createDirectory(folder.resolve("held"));
    try (FolderLock _ = FolderLock.take(output, "sweep.lock").orElseThrow()) {
      assertEquals(2, runs.inThisProcess(sweep(output)), runs.said());
      assertTrue(runs.said().contains("another sweep works on this folder"), runs.said());
    }
  }

  @Test
  void a_folder_of_something_else_is_refused_and_left_alone() throws IOException {
    Path output = Files.createDirectory(folder.resolve("letters"));
    Files.writeString(output.resolve("letter.txt"), "dear");
    assertEquals(2, runs.inThisProcess(sweep(output)), runs.said());
    assertTrue(runs.said().contains("is not empty and holds no sweep"), runs.said());
    assertEquals(2, runs.inThisProcess(sweep(output, "--workers=0")), runs.said());
  }

  @Test
  void a_task_that_is_not_there_is_named_before_anything_begins() throws IOException {
    Path output = folder.resolve("never");
    Files.writeString(file, Files.readString(file).replace("beta", "betta"));
    assertEquals(2, runs.inThisProcess(sweep(output)), runs.said());
    assertTrue(runs.said().contains("'betta'"), runs.said());
    assertTrue(Files.notExists(output.resolve("runs")));
  }

  @Test
  void a_line_for_a_log_says_how_far_everything_is() {
    SweepListener.State state =
        new SweepListener.State(
            40, 12, 1, List.of(), 0.345, OptionalDouble.of(185), 210.04, 3L << 29);
    assertEquals(
        "sweep: 34%, 12 of 40 runs finished, 1 failed, 0 at work, 210.0 samples/s,"
            + " 3 min 05 s left, memory 1.5 GiB",
        SweepView.line(state));
  }
}
