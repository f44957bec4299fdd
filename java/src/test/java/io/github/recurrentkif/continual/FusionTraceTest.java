package io.github.recurrentkif.continual;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.recurrentkif.SharedFolder;
import io.github.recurrentkif.continual.QuadraticTrace.Entry;
import io.github.recurrentkif.continual.QuadraticTrace.Problem;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

/**
 * Replays a small float64 trace of the whole method, made with its published importance class and
 * torch's AdamW: 20 parameters, 10 updates of a schedule of 20, two fusions.
 */
class FusionTraceTest {

  /**
   * Largest deviation of a float32 weight from the float64 trace; the faithful run ends within
   * 2e-8.
   */
  private static final double TOLERANCE = 1e-6;

  /** The trace's last weights. */
  private static final double[] FINAL_WEIGHTS = {
    0.133996258253, 0.038322338231, -0.028716718761, -0.035736028474, -0.051708764585,
    -0.079069311738, 0.114617063288, 0.054521054922, -0.006343450416, -0.008718172234,
    -0.048423362447, -0.110580544215, 0.076996709476, 0.025571095737, -0.035674352769,
    -0.060028541772, -0.027888688656, -0.003202011804, -0.014807244509, 0.048573475982
  };

  private static final List<List<Integer>> INNER_MASKS =
      List.of(List.of(0, 1, 3, 6), List.of(0, 6, 11, 12));
  private static final List<List<Integer>> OUTER_MASKS =
      List.of(List.of(0, 3, 6, 12), List.of(0, 6, 12, 15));

  @Test
  void isWhatTheMethodWrittenOutGives() {
    WrittenOut truth = new WrittenOut(Problem.TRACE);
    assertEquals(INNER_MASKS, truth.innerMasks());
    assertEquals(OUTER_MASKS, truth.outerMasks());
    assertEquals(0, QuadraticTrace.deviation(FINAL_WEIGHTS, truth.weights()), 1e-9);
  }

  @ParameterizedTest(name = "{0} micro-batches")
  @ValueSource(ints = {1, 2, 4, 5})
  void endsWhereTheTraceEndsWithTheSameMasks(int parts) {
    List<Entry> entries = QuadraticTrace.faithful(Problem.TRACE, parts);
    assertEquals(18, entries.size());
    List<List<List<Integer>>> masks =
        entries.stream().filter(e -> e.event().equals("masks")).map(Entry::masks).toList();
    assertEquals(INNER_MASKS, masks.stream().map(List::getFirst).toList());
    assertEquals(OUTER_MASKS, masks.stream().map(List::getLast).toList());
    assertEquals(
        0, QuadraticTrace.deviation(FINAL_WEIGHTS, entries.getLast().weights()), TOLERANCE);
  }

  @Test
  void followsTheWholeTrace() {
    JsonNode trace = SharedFolder.json("golden/fusion-trace.json").get("trace");
    List<Entry> entries = QuadraticTrace.faithful(Problem.TRACE, 1);
    assertEquals(trace.size(), entries.size());
    for (int i = 0; i < entries.size(); i++) {
      JsonNode expected = trace.get(i);
      Entry actual = entries.get(i);
      String place = "event " + i + ", " + actual.event();
      assertEquals(expected.get("ev").asString(), actual.event(), place);
      switch (actual.event()) {
        case "masks" -> {
          assertEquals(ones(expected.get("inner")), actual.masks().getFirst(), place);
          assertEquals(ones(expected.get("outer")), actual.masks().getLast(), place);
        }
        case "fused" ->
            assertEquals(
                0, QuadraticTrace.deviation(doubles(expected), actual.weights()), TOLERANCE);
        default -> {
          assertEquals(expected.get("lr").asDouble(), actual.rate(), place);
          double norm = expected.get("gradnorm").asDouble();
          assertEquals(norm, actual.norm(), TOLERANCE * norm, place);
          assertEquals(
              0, QuadraticTrace.deviation(doubles(expected), actual.weights()), TOLERANCE, place);
        }
      }
    }
  }

  private static double[] doubles(JsonNode entry) {
    JsonNode weights = entry.get("w");
    return IntStream.range(0, weights.size()).mapToDouble(i -> weights.get(i).asDouble()).toArray();
  }

  private static List<Integer> ones(JsonNode mask) {
    return IntStream.range(0, mask.size()).filter(i -> mask.get(i).asInt() == 1).boxed().toList();
  }
}
