package io.github.recurrentkif.data;

/**
 * A sample as the model reads it.
 *
 * @param source token ids of the prompt, unpadded
 * @param labels token ids of the answer, unpadded; empty where a cut has left none
 */
public record EncodedSample(long[] source, long[] labels) {

  public EncodedSample {
    if (source.length == 0) {
      throw new IllegalArgumentException("a sample needs at least one token to ask with");
    }
  }

  /**
   * Encodes both sides of a sample for an encoder-decoder model.
   *
   * @param maximumSourceLength tokens, the final {@code </s>} included
   * @param maximumTargetLength tokens, the final {@code </s>} included
   */
  public static EncodedSample of(
      Sample sample, Tokenizer tokenizer, int maximumSourceLength, int maximumTargetLength) {
    return new EncodedSample(
        tokenizer.encode(sample.source(), maximumSourceLength),
        tokenizer.encode(sample.target(), maximumTargetLength));
  }
}
