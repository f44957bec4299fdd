package io.github.recurrentkif.data;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.function.ToIntFunction;

/**
 * The real tokens of several batches, sequence behind sequence, without any padding.
 *
 * @param sequences where each lies in its batch
 */
public record PackedSequences(List<Batch> batches, List<Sequence> sequences) {

  /**
   * One row of a batch.
   *
   * @param batch its number
   * @param row of the batch
   * @param first position of its first token in the padded row
   * @param length tokens of the source
   * @param targetLength positions of the labels up to the last that counts
   */
  public record Sequence(int batch, int row, int first, int length, int targetLength) {}

  public PackedSequences {
    batches = List.copyOf(batches);
    sequences = List.copyOf(sequences);
  }

  /**
   * All rows of the batches, in their order.
   *
   * @throws IllegalArgumentException if a mask has a hole
   */
  public static PackedSequences of(List<Batch> batches) {
    List<Sequence> sequences = new ArrayList<>();
    for (int number = 0; number < batches.size(); number++) {
      Batch batch = batches.get(number);
      for (int row = 0; row < batch.rows(); row++) {
        sequences.add(sequence(batch, number, row));
      }
    }
    return new PackedSequences(batches, sequences);
  }

  private static Sequence sequence(Batch batch, int number, int row) {
    int from = row * batch.sourceLength();
    int first = 0;
    while (first < batch.sourceLength() && batch.attentionMask()[from + first] == 0) {
      first++;
    }
    int end = batch.sourceLength();
    while (end > first && batch.attentionMask()[from + end - 1] == 0) {
      end--;
    }
    for (int position = first; position < end; position++) {
      if (batch.attentionMask()[from + position] == 0) {
        throw new IllegalArgumentException(
            "row %d has padding between its tokens, at position %d".formatted(row, position));
      }
    }
    int labelsFrom = row * batch.targetLength();
    int labels = batch.targetLength();
    while (labels > 0 && batch.labels()[labelsFrom + labels - 1] == Batch.IGNORED) {
      labels--;
    }
    return new Sequence(number, row, first, end - first, labels);
  }

  /** The same batches with some of the sequences. */
  public PackedSequences only(List<Sequence> some) {
    return new PackedSequences(batches, some);
  }

  /**
   * The sequences in groups of at most so many tokens, the longest first and each in the first
   * group that has room for it: which group a sequence is in follows from the lengths alone. A
   * sequence with more tokens is a group of its own.
   *
   * @param tokens of a sequence
   */
  public List<PackedSequences> groups(int mostTokens, ToIntFunction<Sequence> tokens) {
    List<List<Sequence>> groups = new ArrayList<>();
    List<Integer> sizes = new ArrayList<>();
    List<Sequence> longestFirst =
        sequences.stream().sorted(Comparator.comparingInt(tokens).reversed()).toList();
    for (Sequence sequence : longestFirst) {
      int size = tokens.applyAsInt(sequence);
      int group = 0;
      while (group < groups.size() && (long) sizes.get(group) + size > mostTokens) {
        group++;
      }
      if (group == groups.size()) {
        groups.add(new ArrayList<>());
        sizes.add(0);
      }
      groups.get(group).add(sequence);
      sizes.set(group, sizes.get(group) + size);
    }
    return groups.stream().map(this::only).toList();
  }

  public int sourceTokens() {
    return sequences.stream().mapToInt(Sequence::length).sum();
  }

  public int targetTokens() {
    return sequences.stream().mapToInt(Sequence::targetLength).sum();
  }

  public Batch batchOf(Sequence sequence) {
    return batches.get(sequence.batch());
  }

  /** The token ids of all sources, [sourceTokens]. */
  public long[] sourceIds() {
    long[] ids = new long[sourceTokens()];
    int at = 0;
    for (Sequence s : sequences) {
      Batch batch = batchOf(s);
      System.arraycopy(
          batch.inputIds(), s.row() * batch.sourceLength() + s.first(), ids, at, s.length());
      at += s.length();
    }
    return ids;
  }

  /** The labels of all targets, [targetTokens]. */
  public long[] labels() {
    long[] labels = new long[targetTokens()];
    int at = 0;
    for (Sequence s : sequences) {
      Batch batch = batchOf(s);
      System.arraycopy(
          batch.labels(), s.row() * batch.targetLength(), labels, at, s.targetLength());
      at += s.targetLength();
    }
    return labels;
  }

  /** Where each source begins among {@link #sourceIds}, and the end of the last. */
  public long[] sourceOffsets() {
    return offsets(sequences.stream().mapToInt(Sequence::length).toArray());
  }

  /** Where each target begins among {@link #labels}, and the end of the last. */
  public long[] targetOffsets() {
    return offsets(sequences.stream().mapToInt(Sequence::targetLength).toArray());
  }

  static long[] offsets(int[] lengths) {
    long[] offsets = new long[lengths.length + 1];
    for (int i = 0; i < lengths.length; i++) {
      offsets[i + 1] = offsets[i] + lengths[i];
    }
    return offsets;
  }

  /** The position of every source token in its padded row, [sourceTokens]. */
  public long[] positions() {
    long[] positions = new long[sourceTokens()];
    int at = 0;
    for (Sequence s : sequences) {
      for (int i = 0; i < s.length(); i++) {
        positions[at++] = (long) s.first() + i;
      }
    }
    return positions;
  }
}
