package io.github.recurrentkif.data;

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
