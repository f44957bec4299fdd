package io.github.recurrentkif.training;

import java.util.List;

/** Answers prompts token by token, always with the most likely next token. */
public interface Decoder extends AutoCloseable {

  /**
   * Decodes a batch.
   *
   * @param prompts token ids of each row, special tokens included as the tokenizer puts them
   * @param maximumTokens tokens after which a row is cut, at least 1
   * @return for each row the new tokens, up to and including the end token
   */
  List<long[]> decode(List<long[]> prompts, int maximumTokens);

  /** Any of these ends an answer. */
  List<Integer> endTokens();

  @Override
  void close();
}
