package io.github.recurrentkif.experiment.verification;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.RequiredOperators;
import io.github.recurrentkif.SharedFolder;
import io.github.recurrentkif.experiment.Backend;
import io.github.recurrentkif.kernels.cpu.CpuKernels;
import io.github.recurrentkif.memory.CacheFolder;
import io.github.recurrentkif.runtime.OnnxRuntime;
import io.github.recurrentkif.runtime.SessionOptions;
import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Our numbers against those of transformers, PEFT and the authors' own trainer. */
class VerificationTest {

  private static Backend padded;
  private static @Nullable Backend packed;

  @BeforeAll
  static void open() {
    padded = backend(List.of());
  }

  private static Backend backend(List<Path> operators) {
    return new Backend(
        OnnxRuntime.load(),
        SessionOptions.builder()
            .intraOpThreads(1)
            .memoryPattern(false)
            .customOperatorLibraries(operators)
            .build(),
        CpuKernels.open(2).kernels(),
        CacheFolder.ofThisUser().path());
  }

  @AfterAll
  static void close() {
    padded.close();
    if (packed != null) {
      packed.close();
    }
  }

  private static Backend backend(String graph) {
    if (graph.equals("padded")) {
      return padded;
    }
    if (packed == null) {
      packed = backend(List.of(RequiredOperators.library(CacheFolder.ofThisUser()).path()));
    }
    return packed;
  }

  @ParameterizedTest
  @CsvSource({
    "t5-relu-tied, padded",
    "t5-relu-tied, packed",
    "t5-gated-untied, padded",
    "t5-gated-untied, packed",
    "llama-mha, padded",
    "llama-mha, packed",
    "llama-gqa-tied, padded",
    "llama-gqa-tied, packed"
  })
  void lossLogitsGradientsAndAnswersAreThoseOfTransformers(String model, String graph) {
    List<Measure> measures =
        ModelCheck.run(SharedFolder.resolve("golden/hf/" + model), backend(graph));
    assertTrue(measures.size() > 25, "every tensor is compared");
    assertAllHold(measures);
  }

  /**
   * Recorded by bench/python/record_causal_model.py; qwen2 lies in two files of bfloat16,
   * llama-biased (a bias and an adapter on every projection) in two of float16.
   */
  @ParameterizedTest
  @CsvSource({
    "qwen2, padded",
    "qwen2, packed",
    "qwen3, padded",
    "qwen3, packed",
    "llama-biased, padded",
    "llama-biased, packed"
  })
  void qwenAndABiasedLlamaAreWhatTransformersMakesOfThem(String model, String graph)
      throws Exception {
    Path folder = Path.of(VerificationTest.class.getResource(model).toURI());
    List<Measure> measures = ModelCheck.run(folder, backend(graph));
    assertTrue(measures.size() > 35, "every tensor is compared");
    assertAllHold(measures);
  }

  @ParameterizedTest(name = "resync {0}, {1}")
  @CsvSource({"false, padded", "true, padded", "false, packed", "true, packed"})
  void aRunOfTheAuthorsTrainerIsRepeated(boolean resync, String graph) {
    assertAllHold(
        TrajectoryCheck.run(SharedFolder.resolve("golden/authors-t5"), resync, backend(graph)));
  }

  @Test
  void theQuadraticTraceIsRepeated() {
    assertAllHold(
        QuadraticTraceCheck.run(
            SharedFolder.resolve("golden/fusion-trace.json"), padded.kernels()));
  }

  @Test
  void aDeviationThatIsNotANumberDoesNotHold() {
    Measure.Gatherer gatherer = new Measure.Gatherer("loss", 1);
    gatherer.add(Double.NaN, "here");
    gatherer.add(0.5, "there");
    assertEquals("here", gatherer.measure().where());
    assertTrue(!gatherer.measure().holds());
  }

  private static void assertAllHold(List<Measure> measures) {
    assertEquals(List.of(), measures.stream().filter(measure -> !measure.holds()).toList());
  }
}
