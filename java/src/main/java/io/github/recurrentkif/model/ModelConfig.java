package io.github.recurrentkif.model;

import io.github.recurrentkif.memory.InputException;
import java.nio.file.Path;
import java.util.List;
import tools.jackson.databind.JsonNode;

/** The architecture of a model, as {@code config.json} states it. */
public sealed interface ModelConfig permits T5Config, LlamaConfig {

  /**
   * Reads a configuration, of the family that its {@code model_type} names.
   *
   * @param file for messages
   * @throws InputException if a key is missing, of the wrong type, or names something that is not
   *     supported
   */
  static ModelConfig parse(JsonNode json, Path file) {
    ConfigReader reader = new ConfigReader(json, file);
    String type = reader.text("model_type", "none");
    if (type.equals("t5")) {
      return T5Config.parse(json, file);
    }
    if (LlamaConfig.knows(type)) {
      return LlamaConfig.parse(json, file);
    }
    throw reader.unsupported(
        "model_type",
        '"' + type + '"',
        "a model of type \"t5\", \"llama\", \"qwen2\" or \"qwen3\"");
  }

  /** Rows of the embedding; may exceed the tokenizer's vocabulary. */
  int vocabularySize();

  /** Fills short rows; the attention mask hides it. */
  int padToken();

  /** Any of these ends an answer. */
  List<Integer> endTokens();

  /** Whether the embedding serves as output head. */
  boolean tiedHead();

  /** The same architecture with or without a head of its own. */
  ModelConfig withTiedHead(boolean tied);

  /** The same architecture with other end tokens. */
  ModelConfig withEndTokens(List<Integer> tokens);

  /** The tensor that holds the embedding. */
  String embeddingName();

  /** What PEFT calls the work of such a model. */
  String peftTaskType();

  /** Short name of the family, for files. */
  String family();
}
