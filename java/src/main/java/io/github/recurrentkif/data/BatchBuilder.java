package io.github.recurrentkif.data;

import java.util.Arrays;
import java.util.List;
import java.util.function.Function;

/**
 * Puts samples side by side: both sides are padded on the right to their longest sample, rounded up
 * to a multiple. This is what Hugging Face's sequence-to-sequence collator does with {@code
 * pad_to_multiple_of}.
 *
 * @param paddingId fills {@link Batch#inputIds}; labels are filled with {@link Batch#IGNORED}
 * @param lengthMultiple at least 1; lengths that repeat let a runtime reuse its memory plan
 */
public record BatchBuilder(long paddingId, int lengthMultiple) {

  /** The multiple the reference release pads to. */
  public static final int REFERENCE_LENGTH_MULTIPLE = 8;

  public BatchBuilder {
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
    int sourceLength = paddedLength(samples, EncodedSample::source);
    int targetLength = paddedLength(samples, EncodedSample::labels);
    long[] inputIds = new long[Math.multiplyExact(rows, sourceLength)];
    long[] attentionMask = new long[inputIds.length];
    long[] labels = new long[Math.multiplyExact(rows, targetLength)];
    Arrays.fill(inputIds, paddingId);
    Arrays.fill(labels, Batch.IGNORED);
    for (int row = 0; row < rows; row++) {
      long[] source = samples.get(row).source();
      long[] target = samples.get(row).labels();
      int start = row * sourceLength;
      System.arraycopy(source, 0, inputIds, start, source.length);
      Arrays.fill(attentionMask, start, start + source.length, 1);
      System.arraycopy(target, 0, labels, row * targetLength, target.length);
    }
    return new Batch(rows, sourceLength, targetLength, inputIds, attentionMask, labels);
  }

  private int paddedLength(List<EncodedSample> samples, Function<EncodedSample, long[]> side) {
    int longest =
        samples.stream().mapToInt(sample -> side.apply(sample).length).max().orElseThrow();
    return Math.multiplyExact(Math.ceilDiv(longest, lengthMultiple), lengthMultiple);
  }
}
