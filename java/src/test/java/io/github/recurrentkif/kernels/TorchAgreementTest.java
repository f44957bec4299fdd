package io.github.recurrentkif.kernels;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.recurrentkif.kernels.ImportanceRule.Formula;
import io.github.recurrentkif.kernels.cpu.CpuKernels;
import io.github.recurrentkif.kernels.reference.ReferenceKernels;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.memory.Shape;
import java.io.InputStream;
import java.lang.foreign.MemorySegment;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Objects;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** The kernels compute what PyTorch computed; bench/python/record_torch_kernels.py recorded it. */
class TorchAgreementTest {

  private static JsonNode recorded = JsonMapper.shared().createObjectNode();

  @BeforeAll
  static void read() throws Exception {
    try (InputStream file =
        Objects.requireNonNull(
            TorchAgreementTest.class.getResourceAsStream("torch-kernels.json"))) {
      recorded = JsonMapper.shared().readTree(file);
    }
  }

  static Stream<Kernels> backends() {
    return Stream.of(new ReferenceKernels(), CpuKernels.open(2).kernels());
  }

  @ParameterizedTest
  @MethodSource("backends")
  void importanceIsTorchsBitForBit(Kernels kernels) {
    JsonNode c = recorded.get("importance");
    for (Formula formula : Formula.values()) {
      try (Workspace space = workspace(c.get("weights").size())) {
        upload(space.weights, c.get("weights"));
        upload(space.gradient, c.get("gradient"));
        upload(space.inner.importance().sensitivity(), c.get("sensitivity"));
        upload(space.inner.importance().uncertainty(), c.get("uncertainty"));
        ImportanceRule rule =
            new ImportanceRule(formula, c.get("beta1").asDouble(), c.get("beta2").asDouble());
        kernels.importance(space.weights, space.gradient, 1, space.inner.importance(), rule);
        JsonNode after = c.get("after").get(formula.name());
        assertBits(
            after.get("sensitivity"), space.inner.importance().sensitivity(), formula + " I");
        assertBits(
            after.get("uncertainty"), space.inner.importance().uncertainty(), formula + " U");
      }
    }
  }

  @ParameterizedTest
  @MethodSource("backends")
  void thresholdsAreTorchsBitForBit(Kernels kernels) {
    recorded
        .get("quantile")
        .forEachEntry(
            (name, c) -> {
              try (Workspace space = workspace(c.get("scores").size())) {
                upload(space.inner.importance().sensitivity(), c.get("scores"));
                for (JsonNode expected : c.get("quantiles")) {
                  double q = expected.get("q").asDouble();
                  kernels.threshold(
                      space.inner.importance(), Score.SENSITIVITY, q, space.inner.threshold());
                  // floatToIntBits makes all NaN one.
                  assertEquals(
                      Float.floatToIntBits(number(expected.get("value"))),
                      Float.floatToIntBits(space.inner.threshold().value()),
                      name + " at " + q);
                }
              }
            });
  }

  @ParameterizedTest
  @MethodSource("backends")
  void mergesAreTorchsBitForBit(Kernels kernels) {
    JsonNode c = recorded.get("merge");
    try (Workspace space = workspace(c.get("base").size())) {
      upload(space.base, c.get("base"));
      upload(space.snapshot, c.get("snapshot"));
      upload(space.weights, c.get("weights"));
      upload(space.inner.importance().sensitivity(), c.get("inner"));
      upload(space.outer.importance().sensitivity(), c.get("outer"));
      double q = c.get("quantile").asDouble();
      MergeRule rule = new MergeRule(Score.SENSITIVITY, MergeRule.referenceMasks(), false, false);
      kernels.measure(space.inner, rule, q);
      kernels.measure(space.outer, rule, q);
      JsonNode counts = c.get("counts");
      assertEquals(
          new MaskCounts(
              counts.get(0).asLong(),
              counts.get(1).asLong(),
              counts.get(2).asLong(),
              counts.get(3).asLong()),
          kernels.maskCounts(space.inner, space.outer, Score.SENSITIVITY));
      kernels.merge(space.weights, space.base, space.snapshot, space.inner, space.outer, rule);
      assertBits(c.get("merged"), space.weights, "merged weights");
      assertBits(c.get("merged"), space.base, "new base");
    }
  }

  /** Torch contracts some products and sums of AdamW, so its last bits are its own. */
  @ParameterizedTest
  @MethodSource("backends")
  void adamWIsTorchsToTheRoundingOfItsSteps(Kernels kernels) {
    JsonNode c = recorded.get("adamw");
    try (Workspace space = workspace(c.get("before").size())) {
      upload(space.weights, c.get("before"));
      for (int step = 1; step <= c.get("gradients").size(); step++) {
        upload(space.gradient, c.get("gradients").get(step - 1));
        AdamWStep scalars =
            new AdamWStep(
                c.get("learningRate").asDouble(),
                c.get("beta1").asDouble(),
                c.get("beta2").asDouble(),
                c.get("epsilon").asDouble(),
                c.get("weightDecay").asDouble(),
                step);
        kernels.adamW(
            space.weights, space.gradient, space.firstMoment, space.secondMoment, 1, scalars);
        float[] expected = numbers(c.get("after").get(step - 1));
        float[] actual = space.weights.download("w");
        for (int i = 0; i < expected.length; i++) {
          // A weight may come from 5e-3, where one rounding is 5e-10, to nearly zero.
          float tolerance = 1e-9f + 4 * Math.ulp(expected[i]);
          assertEquals(expected[i], actual[i], tolerance, "weight " + i + " after " + step);
        }
      }
    }
  }

  private static Workspace workspace(int elements) {
    LinkedHashMap<String, Shape> shapes = new LinkedHashMap<>();
    shapes.put("w", Shape.of(elements));
    return new Workspace(ParameterLayout.of(shapes));
  }

  private static void upload(ParameterVector vector, JsonNode bits) {
    vector.upload("w", MemorySegment.ofArray(numbers(bits)));
  }

  private static float[] numbers(JsonNode bits) {
    float[] numbers = new float[bits.size()];
    for (int i = 0; i < numbers.length; i++) {
      numbers[i] = number(bits.get(i));
    }
    return numbers;
  }

  private static float number(JsonNode bits) {
    return Float.intBitsToFloat(Integer.parseUnsignedInt(bits.asString(), 16));
  }

  private static void assertBits(JsonNode expected, ParameterVector vector, String what) {
    List<MemorySegment> both = List.of(MemorySegment.ofArray(numbers(expected)), vector.slice("w"));
    Workspace.assertSameBits(both.getFirst(), both.getLast(), what);
    assertEquals(
        0, vector.segment().asSlice(vector.slice("w").byteSize()).toArray(JAVA_FLOAT)[0], what);
  }
}
