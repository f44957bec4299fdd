package io.github.recurrentkif.training;

import java.util.List;

/** Answers texts with prompts of a pool before them. */
final class PromptedDecoder implements Decoder {

  private final Decoder decoder;
  private final PromptPool pool;

  PromptedDecoder(Decoder decoder, PromptPool pool) {
    this.decoder = decoder;
    this.pool = pool;
  }

  @Override
  public List<long[]> decode(List<long[]> prompts, int maximumTokens) {
    PromptPool.Choice choice = pool.choice();
    return decoder.decode(prompts.stream().map(choice::prompted).toList(), maximumTokens);
  }

  @Override
  public List<Integer> endTokens() {
    return decoder.endTokens();
  }

  @Override
  public void close() {
    decoder.close();
  }
}
