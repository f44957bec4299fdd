package io.github.recurrentkif.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.memory.InputException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.json.JsonMapper;

class LlamaConfigTest {

  private static Map<String, Object> keys(String type) {
    Map<String, Object> keys = new LinkedHashMap<>();
    keys.put("model_type", type);
    keys.put("hidden_size", 64);
    keys.put("num_attention_heads", 4);
    keys.put("num_key_value_heads", 2);
    keys.put("intermediate_size", 96);
    keys.put("num_hidden_layers", 3);
    keys.put("vocab_size", 100);
    return keys;
  }

  private static LlamaConfig parse(Map<String, Object> keys) {
    return LlamaConfig.parse(new JsonMapper().valueToTree(keys), Path.of("config.json"));
  }

  private static LlamaConfig parse(String type, String key, Object value) {
    Map<String, Object> keys = keys(type);
    keys.put(key, value);
    return parse(keys);
  }

  private static void assertRefused(Map<String, Object> keys, String... words) {
    String message =
        String.valueOf(assertThrows(InputException.class, () -> parse(keys)).getMessage());
    assertTrue(message.startsWith("config.json: "), message);
    for (String word : words) {
      assertTrue(message.contains(word), word + " in: " + message);
    }
  }

  @Test
  void whatIsNotSaidIsAsInTransformers() {
    LlamaConfig llama = parse(keys("llama"));
    assertEquals(16, llama.headWidth());
    assertEquals(2, llama.keyHeads());
    assertEquals(1e-6f, llama.normEpsilon());
    assertEquals(new LlamaConfig.Biases(false, false, false), llama.projections());
    assertFalse(llama.headNorms());
    assertFalse(llama.tiedHead());
    assertEquals(List.of(2), llama.endTokens());
    assertEquals(
        new RotaryScaling.Frequencies(10_000, new RotaryScaling.None()), llama.frequencies());
  }

  @Test
  void familiesDifferInBiasesNormsAndHeads() {
    assertEquals(new LlamaConfig.Biases(true, false, false), parse(keys("qwen2")).projections());
    assertEquals(128, parse(keys("qwen3")).headWidth());
    assertTrue(parse(keys("qwen3")).headNorms());
    assertEquals(
        new LlamaConfig.Biases(true, true, false),
        parse("qwen3", "attention_bias", true).projections());
    assertEquals(
        new LlamaConfig.Biases(false, false, true), parse("llama", "mlp_bias", true).projections());
    assertEquals(24, parse("llama", "head_dim", 24).headWidth());
  }

  @Test
  void endTokensMayBeSeveralAndOthersWhenGenerating() {
    LlamaConfig llama = parse("llama", "eos_token_id", List.of(5, 7));
    assertEquals(List.of(5, 7), llama.endTokens());
    LlamaConfig chat = llama.withEndTokens(List.of(9));
    assertEquals(List.of(9), chat.endTokens());
    assertEquals(llama, chat.withEndTokens(List.of(5, 7)));
    assertEquals(llama, llama.withTiedHead(true).withTiedHead(false));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "hidden_size",
        "num_attention_heads",
        "intermediate_size",
        "num_hidden_layers",
        "vocab_size"
      })
  void aKeyThatIsMissingIsNamed(String key) {
    Map<String, Object> keys = keys("llama");
    keys.remove(key);
    assertRefused(keys, key, "missing");
    keys.put(key, -3);
    assertRefused(keys, key, "-3");
    keys.put(key, "many");
    assertRefused(keys, key, "many");
  }

  @ParameterizedTest
  @CsvSource({
    "num_key_value_heads, 3, divisor",
    "head_dim, 15, even",
    "eos_token_id, -1, token",
    "pad_token_id, -1, token"
  })
  void aNumberThatDoesNotFitIsNamed(String key, int value, String word) {
    Map<String, Object> keys = keys("llama");
    keys.put(key, value);
    assertRefused(keys, key, String.valueOf(value), word);
  }

  @Test
  void whatIsNotComputedIsRefused() {
    Map<String, Object> keys = keys("llama");
    keys.put("hidden_act", "gelu");
    assertRefused(keys, "hidden_act", "gelu", "silu");
    keys = keys("qwen2");
    keys.put("use_sliding_window", true);
    assertRefused(keys, "use_sliding_window");
    keys.put("layer_types", List.of("full_attention", "full_attention", "full_attention"));
    assertEquals("qwen2", parse(keys).modelType());
    keys.put("layer_types", List.of("full_attention", "sliding_attention", "full_attention"));
    assertRefused(keys, "use_sliding_window");
    keys = keys("llama");
    keys.put("rope_scaling", Map.of("rope_type", "yarn", "factor", 4.0));
    assertRefused(keys, "rope_type", "yarn", "llama3");
  }
}
