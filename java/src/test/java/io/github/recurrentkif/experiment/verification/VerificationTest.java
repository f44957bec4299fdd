package io.github.recurrentkif.experiment.verification;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.SharedFolder;
import io.github.recurrentkif.experiment.Backend;
import io.github.recurrentkif.kernels.cpu.CpuKernels;
import io.github.recurrentkif.memory.CacheFolder;
import io.github.recurrentkif.runtime.OnnxRuntime;
import io.github.recurrentkif.runtime.SessionOptions;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Our numbers against those of transformers, PEFT and the authors' own trainer. */
class VerificationTest {

  private static Backend backend;

  @BeforeAll
  static void open() {
    backend =
        new Backend(
            OnnxRuntime.load(),
            SessionOptions.builder().intraOpThreads(1).memoryPattern(false).build(),
            CpuKernels.open(2).kernels(),
            CacheFolder.ofThisUser().path());
  }

  @AfterAll
  static void close() {
    backend.close();
  }

  @ParameterizedTest
  @ValueSource(strings = {"t5-relu-tied", "t5-gated-untied", "llama-mha", "llama-gqa-tied"})
  void lossLogitsGradientsAndAnswersAreThoseOfTransformers(String model) {
    List<Measure> measures = ModelCheck.run(SharedFolder.resolve("golden/hf/" + model), backend);
    assertTrue(measures.size() > 25, "every tensor is compared");
    assertAllHold(measures);
  }

  /** Recorded by bench/python/record_causal_model.py; qwen2 lies in two files of bfloat16. */
  @ParameterizedTest
  @ValueSource(strings = {"qwen2", "qwen3"})
  void qwenIsWhatTransformersMakesOfIt(String model) throws Exception {
    Path folder = Path.of(VerificationTest.class.getResource(model).toURI());
    List<Measure> measures = ModelCheck.run(folder, backend);
    assertTrue(measures.size() > 35, "every tensor is compared");
    assertAllHold(measures);
  }

  @ParameterizedTest(name = "resync {0}")
  @ValueSource(booleans = {false, true})
  void aRunOfTheAuthorsTrainerIsRepeated(boolean resync) {
    assertAllHold(TrajectoryCheck.run(SharedFolder.resolve("golden/authors-t5"), resync, backend));
  }

  @Test
  void theQuadraticTraceIsRepeated() {
    assertAllHold(
        QuadraticTraceCheck.run(
            SharedFolder.resolve("golden/fusion-trace.json"), backend.kernels()));
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
