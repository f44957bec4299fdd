package io.github.recurrentkif.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.SharedFolder;
import io.github.recurrentkif.kernels.cuda.Emulator;
import io.github.recurrentkif.memory.CacheFolder;
import io.github.recurrentkif.runtime.OnnxRuntime;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * {@code --device cuda} from the command line to the driver and to the provider, with the emulator
 * in the place of both: the host cannot reach what lies on the device, the processor's provider
 * computes there, and every call is written down.
 */
class CudaTrainingTest {

  /** Short, for every process of its own starts a Java. */
  private static final String[] SHORT = {"epochs=2", "checkpoint-seconds=3600"};

  private static Path emulator = Path.of("");
  private static Path runtime = Path.of("");

  @TempDir Path folder;

  private TestRuns runs;

  @BeforeAll
  static void findEmulator() {
    Emulator.launcher(1);
    Assumptions.assumeTrue(
        System.getProperty("os.arch").equals("amd64"),
        "SKIPPED: JCuda comes for Linux on x86-64 only");
    emulator = Emulator.library().resolveSibling("driver");
    try (OnnxRuntime loaded = OnnxRuntime.load()) {
      runtime = loaded.libraryPath();
    }
  }

  @BeforeEach
  void begin() {
    runs = new TestRuns(folder);
  }

  @Test
  void aRunOnTheDeviceEndsInTheBitsOfTheProcessor() throws Exception {
    Path expected = folder.resolve("processor");
    assertEquals(0, runs.inThisProcess(train(expected, "--graph=padded")), runs.said());
    Path found = folder.resolve("device");
    List<String> calls = onDevice(train(found, "--device=cuda"));

    for (String name : List.of("checkpoint.safetensors", "result.json")) {
      assertArrayEquals(
          Files.readAllBytes(expected.resolve(name)),
          Files.readAllBytes(found.resolve(name)),
          name);
    }
    assertNothingWaitsWithinAnUpdate(calls);
    assertNothingWaitsBetweenThresholdAndMerge(calls);
  }

  @Test
  void theWorkOfAnUpdateIsRecordedOnceForEachShapeAndThenRepeated() throws Exception {
    List<String> calls =
        onDevice(train(folder.resolve("run"), "--device=cuda", "--graph=recorded"));
    long recorded = calls.stream().filter("record"::equals).count();
    long repeated = calls.stream().filter("repeat"::equals).count();
    // All texts of these tasks have less than 32 tokens; micro-batches have three numbers of rows.
    assertTrue(recorded <= 4, recorded + " recordings");
    assertTrue(repeated > 10 * recorded, recorded + " recordings repeated " + repeated + " times");
    assertTrue(calls.stream().noneMatch(call -> call.startsWith("refused")), calls.toString());
  }

  @Test
  void aLlamaIsRecordedAsWell() throws Exception {
    Path model = SharedFolder.resolve("golden/hf/llama-gqa-tied");
    List<String> arguments = train(folder.resolve("run"), "--device=cuda", "--graph=recorded");
    arguments.removeIf(argument -> argument.startsWith("--model="));
    arguments.add("--model=" + model);
    List<String> calls = onDevice(arguments);
    assertTrue(calls.contains("repeat"), calls.toString());
  }

  @Test
  void aLibraryWithoutCudaIsSaidToHaveNone() throws Exception {
    Process process =
        process(train(folder.resolve("run"), "--device=cuda", "--onnx-runtime=" + runtime));
    assertEquals(2, process.exitValue(), runs.output());
    assertTrue(runs.output().contains(runtime + " does not compute on a GPU ("), runs.output());
  }

  private List<String> train(Path run, String... options) {
    List<String> arguments = new ArrayList<>(runs.train("recurrent-kif", run, SHORT));
    arguments.addAll(List.of(options));
    return arguments;
  }

  private Path calls() {
    return folder.resolve("calls.txt");
  }

  private List<String> onDevice(List<String> arguments) throws Exception {
    Process process = process(arguments);
    assertEquals(0, process.exitValue(), runs.output());
    List<String> calls = Files.readAllLines(calls());
    assertTrue(
        calls.stream()
            .filter(call -> call.startsWith("provider"))
            .allMatch(
                call ->
                    call.contains(" device_id=0 ") && call.contains(" user_compute_stream=given")),
        calls.toString());
    return calls;
  }

  private Process process(List<String> arguments) throws IOException, InterruptedException {
    ProcessBuilder builder =
        new ProcessBuilder(TestRuns.command(arguments))
            .redirectErrorStream(true)
            .redirectOutput(folder.resolve("output.txt").toFile());
    builder.environment().put("CLASSPATH", System.getProperty("java.class.path"));
    builder.environment().put("LD_LIBRARY_PATH", emulator.toString());
    builder.environment().put("KIF_ORT_LIBRARY", emulator.resolve("libonnxruntime.so").toString());
    builder.environment().put("KIF_EMULATED_ONNXRUNTIME", runtime.toString());
    builder.environment().put("KIF_EMULATOR_CALLS", calls().toString());
    builder.environment().put("KIF_CACHE", CacheFolder.ofThisUser().path().toString());
    builder.environment().put("JAVA_TOOL_OPTIONS", "-Djava.io.tmpdir=" + folder);
    Process process = builder.start();
    assertTrue(process.waitFor(3, TimeUnit.MINUTES), "takes too long");
    return process;
  }

  /** From an update's first micro-batch to the fetching of its losses, everything is queued. */
  private static void assertNothingWaitsWithinAnUpdate(List<String> calls) {
    int grown = 0;
    int updates = 0;
    int first = 0;
    for (int i = 0; i < calls.size(); i++) {
      if (calls.get(i).startsWith("launch kif_adamw")) {
        List<String> update = calls.subList(first, i);
        first = i + 1;
        if (update.stream().filter("run"::equals).count() != 2
            || update.contains("launch kif_merge_2")) {
          continue;
        }
        updates++;
        if (update.stream().anyMatch(call -> call.startsWith("allocate"))) {
          grown++;
          continue;
        }
        assertEquals(
            // The losses, and then the norm, which decides about the step.
            List.of("download 8", "synchronize", "download 8", "synchronize"),
            update.stream().filter(CudaTrainingTest::waits).toList(),
            update.toString());
      }
    }
    assertTrue(
        updates >= 20 && grown < updates / 2,
        "of " + updates + " updates " + grown + " found no room for a larger batch");
  }

  private static void assertNothingWaitsBetweenThresholdAndMerge(List<String> calls) {
    // The last fusion: in the first one, who watches makes room for the counts of each tensor.
    int merge = calls.lastIndexOf("launch kif_merge_2");
    int before = calls.subList(0, merge).lastIndexOf("launch kif_merge_2");
    List<String> last = calls.subList(before + 1, merge);
    List<String> fusion = last.subList(last.indexOf("launch kif_threshold_2"), last.size());
    int watched = fusion.indexOf("launch kif_mask_counts_2");
    // Who watches a run waits for the counts and both thresholds; the fusion itself never does.
    assertTrue(fusion.subList(0, watched).stream().noneMatch(CudaTrainingTest::waits));
    assertEquals(
        3,
        fusion.subList(watched, fusion.size()).stream()
            .filter(call -> call.startsWith("download"))
            .count(),
        fusion.toString());
  }

  private static boolean waits(String call) {
    return call.contains("synchronize")
        || call.startsWith("download")
        || call.startsWith("allocate")
        || call.startsWith("free")
        || call.startsWith("wait");
  }
}
