package io.github.recurrentkif.experiment;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.experiment.report.Report;
import io.github.recurrentkif.memory.InputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CancellationException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.BooleanSupplier;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class DemonstrationTest {

  private static final Map<String, String> MINUSCULE =
      Map.of("maximum-train-samples", "24", "maximum-test-samples", "6", "epochs", "3");

  @TempDir Path folder;

  private List<RunResult> run(Demonstration demonstration, BooleanSupplier stop) {
    try (Backend backend = TestBackend.open(folder.resolve("cache"))) {
      return demonstration
          .prepare(folder.resolve("demo"))
          .run(backend, _ -> new RunListener() {}, stop);
    }
  }

  @Test
  void all_methods_run_on_one_stream_and_a_stopped_demonstration_goes_on_to_the_same_numbers()
      throws IOException {
    Demonstration demonstration = new Demonstration(1, true, MINUSCULE);
    AtomicInteger questions = new AtomicInteger();
    assertThrows(
        CancellationException.class,
        () -> run(demonstration, () -> questions.incrementAndGet() > 20));
    List<RunResult> results = run(demonstration, () -> false);

    assertEquals(
        List.of("sequential-lora", "lora-replay", "recurrent-kif"),
        results.stream().map(result -> result.configuration().method().text()).toList());
    for (RunResult result : results) {
      assertEquals(6, result.matrix().tasks());
    }
    List<RunResult> again = run(demonstration, () -> false);
    assertEquals(
        results.stream().map(RunResult::weightsHash).toList(),
        again.stream().map(RunResult::weightsHash).toList());
    Demonstration elsewhere = new Demonstration(1, true, MINUSCULE);
    try (Backend backend = TestBackend.open(folder.resolve("cache"))) {
      List<RunResult> uninterrupted =
          elsewhere
              .prepare(folder.resolve("uninterrupted"))
              .run(backend, _ -> new RunListener() {}, () -> false);
      assertEquals(
          results.stream().map(RunResult::weightsHash).toList(),
          uninterrupted.stream().map(RunResult::weightsHash).toList());
    }
    Report report = Report.of(demonstration.prepare(folder.resolve("demo")).folders());
    Path svg = folder.resolve("forgetting.svg");
    report.writeForgetting(svg);
    String picture = Files.readString(svg);
    // A curve for each of three methods on each of six tasks.
    assertEquals(18, picture.split("<polyline", -1).length - 1);
    assertEquals(
        picture.split("<g ", -1).length, picture.split("</g>", -1).length, "groups are closed");
    InputException otherSeed =
        assertThrows(
            InputException.class, () -> run(new Demonstration(2, true, MINUSCULE), () -> false));
    assertTrue(String.valueOf(otherSeed.getMessage()).contains("another kind"));
    InputException otherSettings =
        assertThrows(
            InputException.class, () -> run(new Demonstration(1, true, Map.of()), () -> false));
    assertTrue(String.valueOf(otherSettings.getMessage()).contains("other settings"));
  }

  @Test
  void a_folder_of_something_else_is_left_alone() throws IOException {
    Path demo = Files.createDirectories(folder.resolve("demo"));
    Files.writeString(demo.resolve("letter.txt"), "dear reader");

    assertThrows(
        InputException.class, () -> run(new Demonstration(1, true, MINUSCULE), () -> false));
    try (var files = Files.list(demo)) {
      assertEquals(1, files.count());
    }
  }
}
