package io.github.recurrentkif.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.kernels.RandomKey;
import io.github.recurrentkif.memory.HostMemory;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.memory.Shape;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.SequencedMap;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.ObjectMapper;

class InitializationTest {

  private static final String ATTENTION = "encoder.block.1.layer.0.SelfAttention.";
  private static final String BIAS =
      "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight";
  private static final int WIDTH = 64;
  private static final int HEAD_WIDTH = 16;
  private static final int HEADS = 4;
  private static final int BUCKETS = 32;

  private static final T5Config CONFIG =
      T5Config.parse(
          new ObjectMapper()
              .readTree(
                  """
                  {"model_type": "t5", "d_model": 64, "d_kv": 16, "num_heads": 4, "d_ff": 24,
                   "num_layers": 2, "vocab_size": 50, "tie_word_embeddings": true}
                  """),
          Path.of("config.json"));

  private static Map<String, float[]> initialized(Initialization initialization, long seed) {
    SequencedMap<String, Shape> shapes = new LinkedHashMap<>();
    // The keys come first in the layout, although they share the draws of the queries.
    shapes.put(ATTENTION + "k.weight", Shape.of(HEADS * HEAD_WIDTH, WIDTH));
    shapes.put(ATTENTION + "q.weight", Shape.of(HEADS * HEAD_WIDTH, WIDTH));
    shapes.put(BIAS, Shape.of(BUCKETS, HEADS));
    shapes.put("shared.weight", Shape.of(50, WIDTH));
    shapes.put("encoder.final_layer_norm.weight", Shape.of(WIDTH));
    Map<String, float[]> values = new LinkedHashMap<>();
    try (ParameterVector weights =
        new ParameterVector(ParameterLayout.of(shapes), new HostMemory())) {
      initialization.initialize(weights, CONFIG, RandomKey.ofSeed(seed));
      for (ParameterLayout.Tensor tensor : weights.layout().tensors()) {
        values.put(tensor.name(), weights.download(tensor.name()));
      }
    }
    return values;
  }

  private static float[] of(Map<String, float[]> values, String tensor) {
    return Objects.requireNonNull(values.get(tensor));
  }

  private static double deviation(float[] values) {
    double squares = 0;
    for (float value : values) {
      squares += (double) value * value;
    }
    return Math.sqrt(squares / values.length);
  }

  @Test
  void the_standard_start_has_the_deviations_of_hugging_face() {
    Map<String, float[]> values = initialized(Initialization.STANDARD, 1);

    assertEquals(1.0 / 32, deviation(of(values, ATTENTION + "q.weight")), 0.002);
    assertEquals(1.0 / 8, deviation(of(values, ATTENTION + "k.weight")), 0.008);
    assertEquals(1, deviation(of(values, "shared.weight")), 0.05);
    for (float norm : of(values, "encoder.final_layer_norm.weight")) {
      assertEquals(1, norm);
    }
  }

  @Test
  void the_mimetic_start_has_heads_for_equal_words_and_heads_for_neighbours() {
    Map<String, float[]> values = initialized(Initialization.MIMETIC, 1);
    float[] query = of(values, ATTENTION + "q.weight");
    float[] key = of(values, ATTENTION + "k.weight");
    int half = query.length / 2;

    assertArrayEquals(Arrays.copyOf(query, half), Arrays.copyOf(key, half));
    for (int i = half; i < query.length; i++) {
      assertTrue(query[i] != key[i]);
    }
    // 64^-1/2 * 16^-1/4: unscaled scores of different words keep a deviation of one.
    assertEquals(1.0 / 16, deviation(query), 0.004);

    float[] bias = of(values, BIAS);
    for (int head = 0; head < HEADS; head++) {
      for (int bucket = 0; bucket < BUCKETS; bucket++) {
        int first = head % 2 == 0 ? 1 : 17;
        double expected =
            head < 2 ? (bucket == 0 ? -6 : 0) : (bucket >= first && bucket < first + 3 ? 3 : 0);
        assertEquals(expected, bias[bucket * HEADS + head], 0.6, "bucket " + bucket);
      }
    }
  }

  @Test
  void the_same_key_gives_the_same_weights_and_another_others() {
    for (Initialization initialization : Initialization.values()) {
      float[] first = of(initialized(initialization, 1), "shared.weight");
      assertArrayEquals(first, of(initialized(initialization, 1), "shared.weight"));
      assertFalse(Arrays.equals(first, of(initialized(initialization, 2), "shared.weight")));
    }
  }
}
