package io.github.recurrentkif.model;

import java.nio.file.Path;
import java.util.List;
import tools.jackson.databind.JsonNode;

/**
 * The architecture of a LLaMA (1, 2, 3), Qwen2 or Qwen3, as Hugging Face's {@code config.json}
 * states it: decoder-only blocks with rotary positions, grouped queries and a SwiGLU.
 *
 * @param modelType {@code llama}, {@code qwen2} or {@code qwen3}
 * @param headWidth {@code head_dim}; heads times this may differ from the model's width
 * @param keyHeads {@code num_key_value_heads}; divides heads
 * @param projections which projections have a bias
 * @param headNorms whether queries and keys are normalised head by head (Qwen3)
 * @param attentionDropout on attention probabilities, when training
 * @param tiedHead whether the embedding serves as output head; the model's files have the last word
 */
public record LlamaConfig(
    String modelType,
    int modelWidth,
    int headWidth,
    int heads,
    int keyHeads,
    int feedForwardWidth,
    int layers,
    int vocabularySize,
    float normEpsilon,
    RotaryScaling.Frequencies frequencies,
    Biases projections,
    boolean headNorms,
    double attentionDropout,
    boolean tiedHead,
    int padToken,
    List<Integer> endTokens)
    implements ModelConfig {

  /** The last parts of the names of the layers that the method's release adapts. */
  public static final List<String> REFERENCE_TARGETS = List.of("q_proj", "v_proj");

  /** Which projections have a bias: queries, keys and values; attention's output; feed-forward. */
  public record Biases(boolean queryKeyValue, boolean output, boolean feedForward) {}

  public LlamaConfig {
    endTokens = List.copyOf(endTokens);
  }

  /** Whether a model type of config.json is one of this family. */
  static boolean knows(String modelType) {
    return modelType.equals("llama") || modelType.equals("qwen2") || modelType.equals("qwen3");
  }

  @Override
  public LlamaConfig withTiedHead(boolean tied) {
    return with(tied, endTokens);
  }

  @Override
  public LlamaConfig withEndTokens(List<Integer> tokens) {
    return with(tiedHead, tokens);
  }

  private LlamaConfig with(boolean tied, List<Integer> tokens) {
    return new LlamaConfig(
        modelType,
        modelWidth,
        headWidth,
        heads,
        keyHeads,
        feedForwardWidth,
        layers,
        vocabularySize,
        normEpsilon,
        frequencies,
        projections,
        headNorms,
        attentionDropout,
        tied,
        padToken,
        tokens);
  }

  @Override
  public String embeddingName() {
    return "model.embed_tokens.weight";
  }

  @Override
  public String peftTaskType() {
    return "CAUSAL_LM";
  }

  @Override
  public String family() {
    return modelType;
  }

  /**
   * Reads a configuration.
   *
   * @param file for messages
   * @throws io.github.recurrentkif.memory.InputException if a key is missing, of the wrong type, or
   *     names something that is not supported
   */
  static LlamaConfig parse(JsonNode json, Path file) {
    ConfigReader config = new ConfigReader(json, file);
    String type = config.text("model_type", "llama");
    int width = config.positive("hidden_size");
    int heads = config.positive("num_attention_heads");
    int keyHeads = config.positive("num_key_value_heads", heads);
    if (heads % keyHeads != 0) {
      throw config.unsupported(
          "num_key_value_heads", String.valueOf(keyHeads), "a divisor of the " + heads + " heads");
    }
    // Qwen3's own default; the others divide the width.
    int headWidth = config.positive("head_dim", type.equals("qwen3") ? 128 : width / heads);
    if (headWidth % 2 != 0) {
      throw config.unsupported("head_dim", String.valueOf(headWidth), "an even width");
    }
    String activation = config.text("hidden_act", "silu");
    if (!activation.equals("silu")) {
      throw config.unsupported("hidden_act", '"' + activation + '"', "\"silu\"");
    }
    rejectSlidingWindows(json, config);
    boolean attentionBias = config.flag("attention_bias", false);
    Biases biases =
        switch (type) {
          case "qwen2" -> new Biases(true, false, false);
          case "qwen3" -> new Biases(attentionBias, attentionBias, false);
          default -> new Biases(attentionBias, attentionBias, config.flag("mlp_bias", false));
        };
    return new LlamaConfig(
        type,
        width,
        headWidth,
        heads,
        keyHeads,
        config.positive("intermediate_size"),
        config.positive("num_hidden_layers"),
        config.positive("vocab_size"),
        (float) config.number("rms_norm_eps", 1e-6),
        RotaryScaling.parse(json, file),
        biases,
        type.equals("qwen3"),
        config.number("attention_dropout", 0),
        config.flag("tie_word_embeddings", false),
        config.token("pad_token_id", 0),
        config.tokens("eos_token_id", 2));
  }

  private static void rejectSlidingWindows(JsonNode json, ConfigReader config) {
    JsonNode layerTypes = json.get("layer_types");
    boolean sliding = config.flag("use_sliding_window", false);
    if (layerTypes != null && layerTypes.isArray()) {
      sliding = false;
      for (JsonNode layer : layerTypes) {
        sliding |= !layer.asString().equals("full_attention");
      }
    }
    if (sliding) {
      throw config.unsupported(
          "use_sliding_window", "true", "a model whose layers all attend to the whole text");
    }
  }
}
