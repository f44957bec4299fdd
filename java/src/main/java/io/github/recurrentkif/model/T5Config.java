package io.github.recurrentkif.model;

import io.github.recurrentkif.graph.operators.Activation;
import io.github.recurrentkif.memory.InputException;
import java.nio.file.Path;
import java.util.List;
import tools.jackson.databind.JsonNode;

/**
 * The architecture of a T5, as Hugging Face's {@code config.json} states it: v1.0 (ReLU, head tied
 * to the embedding) and v1.1 or FLAN (gated GELU, head of its own).
 *
 * @param modelWidth {@code d_model}
 * @param headWidth {@code d_kv}; heads times this may differ from the model's width
 * @param feedForwardWidth {@code d_ff}
 * @param vocabularySize rows of the embedding; may exceed the tokenizer's vocabulary
 * @param buckets of relative positions; from {@code maximumDistance} on all distances share one
 * @param tiedHead whether the embedding serves as output head; the model's files have the last word
 * @param scaledHead whether the decoder's output is scaled by {@code modelWidth^-0.5} before the
 *     head
 */
public record T5Config(
    int modelWidth,
    int headWidth,
    int heads,
    int feedForwardWidth,
    int encoderLayers,
    int decoderLayers,
    int vocabularySize,
    int buckets,
    int maximumDistance,
    float normEpsilon,
    double dropout,
    Activation.Function activation,
    boolean gated,
    boolean tiedHead,
    boolean scaledHead,
    int padToken,
    List<Integer> endTokens,
    int decoderStartToken)
    implements ModelConfig {

  public T5Config {
    endTokens = List.copyOf(endTokens);
  }

  @Override
  public String embeddingName() {
    return "shared.weight";
  }

  @Override
  public String peftTaskType() {
    return "SEQ_2_SEQ_LM";
  }

  @Override
  public String family() {
    return "t5";
  }

  /** Width of all heads together: rows of q, k and v. */
  public int innerWidth() {
    return heads * headWidth;
  }

  @Override
  public T5Config withTiedHead(boolean tied) {
    return with(tied, endTokens);
  }

  @Override
  public T5Config withEndTokens(List<Integer> tokens) {
    return with(tiedHead, tokens);
  }

  private T5Config with(boolean tied, List<Integer> tokens) {
    return new T5Config(
        modelWidth,
        headWidth,
        heads,
        feedForwardWidth,
        encoderLayers,
        decoderLayers,
        vocabularySize,
        buckets,
        maximumDistance,
        normEpsilon,
        dropout,
        activation,
        gated,
        tied,
        scaledHead,
        padToken,
        tokens,
        decoderStartToken);
  }

  /**
   * Reads a configuration.
   *
   * @param file for messages
   * @throws InputException if a key is missing, of the wrong type, or names something that is not
   *     supported
   */
  public static T5Config parse(JsonNode json, Path file) {
    ConfigReader config = new ConfigReader(json, file);
    int layers = config.positive("num_layers");
    boolean tied = config.flag("tie_word_embeddings", true);
    String feedForward = config.text("feed_forward_proj", "relu");
    boolean gated = feedForward.startsWith("gated-");
    return new T5Config(
        config.positive("d_model"),
        config.positive("d_kv"),
        config.positive("num_heads"),
        config.positive("d_ff"),
        layers,
        config.positive("num_decoder_layers", layers),
        config.positive("vocab_size"),
        config.positive("relative_attention_num_buckets", 32),
        config.positive("relative_attention_max_distance", 128),
        (float) config.number("layer_norm_epsilon", 1e-6),
        config.number("dropout_rate", 0.1),
        activation(config, feedForward, gated),
        gated,
        tied,
        // Newer files say it in a key of its own; before, scaling went with tying.
        config.flag("scale_decoder_outputs", tied),
        config.token("pad_token_id", 0),
        config.tokens("eos_token_id", 1),
        config.token("decoder_start_token_id", config.token("pad_token_id", 0)));
  }

  private static Activation.Function activation(
      ConfigReader config, String feedForward, boolean gated) {
    return switch (gated ? feedForward.substring("gated-".length()) : feedForward) {
      case "relu" -> Activation.Function.RELU;
      case "silu" -> Activation.Function.SILU;
      case "gelu_new" -> Activation.Function.GELU_TANH;
      case "gelu" -> {
        if (!gated) {
          throw config.unsupported(
              "feed_forward_proj", "\"gelu\"", "\"relu\", \"gelu_new\" or \"gated-gelu\"");
        }
        // Hugging Face reads "gated-gelu" as the tanh approximation.
        yield Activation.Function.GELU_TANH;
      }
      default ->
          throw config.unsupported(
              "feed_forward_proj", '"' + feedForward + '"', "\"relu\" or \"gated-gelu\"");
    };
  }
}
