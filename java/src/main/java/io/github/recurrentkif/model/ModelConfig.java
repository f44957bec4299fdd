package io.github.recurrentkif.model;

import java.util.List;

/** The architecture of a model, as {@code config.json} states it. */
public sealed interface ModelConfig permits T5Config, LlamaConfig {

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
