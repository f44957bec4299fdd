package io.github.recurrentkif.data;

import java.util.Arrays;

/**
 * Sequences side by side, padded on the right, row-major.
 *
 * @param rows sequences
 * @param sourceLength tokens per source row, padding included
 * @param targetLength tokens per target row, padding included
 * @param inputIds [rows, sourceLength]; 0 where padded
 * @param attentionMask [rows, sourceLength]; 1 for a token, 0 for padding
 * @param labels [rows, targetLength]; {@value #IGNORED} where no loss is taken
 */
public record Batch(
    int rows,
    int sourceLength,
    int targetLength,
    long[] inputIds,
    long[] attentionMask,
    long[] labels) {

  /** The label that takes no part in the loss, as PyTorch's cross-entropy has it. */
  public static final long IGNORED = -100;

  public Batch {
    if (inputIds.length != rows * sourceLength
        || attentionMask.length != inputIds.length
        || labels.length != rows * targetLength) {
      throw new IllegalArgumentException(
          "a batch of %d rows with lengths %d and %d got %d ids, %d mask entries, %d labels"
              .formatted(
                  rows,
                  sourceLength,
                  targetLength,
                  inputIds.length,
                  attentionMask.length,
                  labels.length));
    }
  }

  /** The same with rows of these lengths, which are no shorter: the rest is padding. */
  public Batch padded(int newSourceLength, int newTargetLength) {
    if (newSourceLength == sourceLength && newTargetLength == targetLength) {
      return this;
    }
    return new Batch(
        rows,
        newSourceLength,
        newTargetLength,
        padded(inputIds, sourceLength, newSourceLength, 0),
        padded(attentionMask, sourceLength, newSourceLength, 0),
        padded(labels, targetLength, newTargetLength, IGNORED));
  }

  private long[] padded(long[] values, int length, int newLength, long filling) {
    long[] result = new long[rows * newLength];
    Arrays.fill(result, filling);
    for (int row = 0; row < rows; row++) {
      System.arraycopy(values, row * length, result, row * newLength, length);
    }
    return result;
  }

  /** Labels that take part in the loss. */
  public int labelledTokens() {
    int count = 0;
    for (long label : labels) {
      if (label != IGNORED) {
        count++;
      }
    }
    return count;
  }
}
