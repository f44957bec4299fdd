package io.github.recurrentkif.data;

import java.util.Arrays;
import java.util.List;

/**
 * Puts samples side by side for a decoder-only model: each row is a prompt with its answer behind,
 * padded on the left to the longest row, rounded up to a multiple. Labels lie under their tokens;
 * the prompt and the padding have none.
 *
 * @param paddingId fills {@link Batch#inputIds}; labels are filled with {@link Batch#IGNORED}
 * @param lengthMultiple at least 1; lengths that repeat let a runtime reuse its memory plan
 */
public record CausalBatchBuilder(long paddingId, int lengthMultiple) {

  public CausalBatchBuilder {
    if (paddingId < 0 || lengthMultiple < 1) {
      throw new IllegalArgumentException(
          "cannot pad with id %d to a multiple of %d".formatted(paddingId, lengthMultiple));
    }
  }

  /** The samples as one batch, one row each in the given order. */
  public Batch build(List<EncodedSample> samples) {
    if (samples.isEmpty()) {
      throw new IllegalArgumentException("a batch needs at least one sample");
    }
    int rows = samples.size();
    int longest =
        samples.stream()
            .mapToInt(sample -> sample.source().length + sample.labels().length)
            .max()
            .orElseThrow();
    int length = Math.multiplyExact(Math.ceilDiv(longest, lengthMultiple), lengthMultiple);
    long[] inputIds = new long[Math.multiplyExact(rows, length)];
    long[] attentionMask = new long[inputIds.length];
    long[] labels = new long[inputIds.length];
    Arrays.fill(inputIds, paddingId);
    Arrays.fill(labels, Batch.IGNORED);
    for (int row = 0; row < rows; row++) {
      long[] prompt = samples.get(row).source();
      long[] answer = samples.get(row).labels();
      int end = (row + 1) * length;
      int border = end - answer.length;
      int start = border - prompt.length;
      System.arraycopy(prompt, 0, inputIds, start, prompt.length);
      System.arraycopy(answer, 0, inputIds, border, answer.length);
      System.arraycopy(answer, 0, labels, border, answer.length);
      Arrays.fill(attentionMask, start, end, 1);
    }
    return new Batch(rows, length, length, inputIds, attentionMask, labels);
  }
}
