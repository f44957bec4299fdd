package io.github.recurrentkif.kernels.cpu;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.github.recurrentkif.kernels.Bounds;
import io.github.recurrentkif.kernels.Combination;
import io.github.recurrentkif.kernels.Combination.Sparsity;
import io.github.recurrentkif.kernels.FusionKernels;
import io.github.recurrentkif.kernels.MergeRule;
import io.github.recurrentkif.kernels.MergeRule.Weighting;
import io.github.recurrentkif.kernels.Score;
import io.github.recurrentkif.kernels.StoredScore;
import io.github.recurrentkif.kernels.StoredWeights;
import io.github.recurrentkif.memory.DataType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;

/** The fusion of stored weights in C, by {@code kif_stored_...} of {@code kif.h}. */
final class NativeFusionKernels implements FusionKernels {

  // kif_stored: address, type, padding.
  private static final long STORED_BYTES = 16;

  // kif_combination: four int32, two floats, key, drop_below, padding.
  private static final long COMBINATION_BYTES = 40;

  private final NativeLibrary library;

  NativeFusionKernels(NativeLibrary library) {
    this.library = library;
  }

  @Override
  public String description() {
    return "C";
  }

  @Override
  public void histogram(StoredScore score, MemorySegment counts) {
    count(score, 0, 0, counts);
  }

  @Override
  public void histogramBelow(StoredScore score, int prefix, MemorySegment counts) {
    count(score, 1, prefix, counts);
  }

  private void count(StoredScore score, int level, int prefix, MemorySegment counts) {
    if (counts.byteSize() < (long) HISTOGRAM_SIZE * Integer.BYTES) {
      throw new IllegalArgumentException("a histogram takes " + HISTOGRAM_SIZE + " counts");
    }
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment pair = arena.allocate(2 * STORED_BYTES, 8);
      long elements = score.a().elements();
      write(pair, score, elements);
      check(
          library.storedHistogram(
              pair, pair.asSlice(STORED_BYTES), kind(score), elements, level, prefix, counts));
    }
  }

  @Override
  public Bounds range(StoredScore score, Bounds before) {
    long elements = score.a().elements();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment pair = arena.allocate(2 * STORED_BYTES, 8);
      write(pair, score, elements);
      MemorySegment range = write(before, arena);
      check(library.storedRange(pair, pair.asSlice(STORED_BYTES), kind(score), elements, range));
      return new Bounds(range.getAtIndex(JAVA_FLOAT, 0), range.getAtIndex(JAVA_FLOAT, 1));
    }
  }

  @Override
  public long combine(
      StoredWeights out,
      StoredWeights base,
      List<StoredWeights> models,
      float[] weights,
      float[] thresholds,
      Combination combination,
      long first) {
    int count = models.size();
    if (weights.length != count || thresholds.length != count) {
      throw new IllegalArgumentException("weights and thresholds go with the models one by one");
    }
    long n = out.elements();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment stored = arena.allocate((count + 1) * STORED_BYTES, 8);
      if (combination.taskVectors()) {
        write(stored, 0, base, n);
      }
      for (int i = 0; i < count; i++) {
        write(stored, (i + 1) * STORED_BYTES, models.get(i), n);
      }
      MemorySegment rule = arena.allocate(COMBINATION_BYTES, 8);
      rule.set(JAVA_INT, 0, combination.taskVectors() ? 1 : 0);
      rule.set(JAVA_INT, 8, combination.consensus() ? 1 : 0);
      rule.set(JAVA_INT, 12, combination.normalised() ? 1 : 0);
      rule.set(JAVA_FLOAT, 16, combination.scale());
      switch (combination.sparsity()) {
        case Sparsity.None() -> rule.set(JAVA_INT, 4, 0);
        case Sparsity.Large() -> rule.set(JAVA_INT, 4, 1);
        case Sparsity.Random drawn -> {
          rule.set(JAVA_INT, 4, 2);
          rule.set(JAVA_FLOAT, 20, drawn.keptValue());
          rule.set(JAVA_LONG, 24, drawn.key().bits());
          rule.set(JAVA_INT, 32, drawn.dropBelow());
        }
      }
      MemorySegment notFinite = arena.allocate(JAVA_LONG);
      check(
          library.storedCombine(
              out.data(),
              number(out.type()),
              stored,
              stored.asSlice(STORED_BYTES),
              arena.allocateFrom(JAVA_FLOAT, weights),
              arena.allocateFrom(JAVA_FLOAT, thresholds),
              count,
              rule,
              first,
              n,
              notFinite));
      return notFinite.get(JAVA_LONG, 0);
    }
  }

  @Override
  public long merge(
      StoredWeights out,
      StoredWeights base,
      StoredWeights learned,
      StoredWeights kept,
      StoredScore learnedScore,
      StoredScore keptScore,
      Bounds learnedBounds,
      Bounds keptBounds,
      Weighting weighting) {
    long n = out.elements();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment stored = arena.allocate(7 * STORED_BYTES, 8);
      write(stored, 0, base, n);
      write(stored, STORED_BYTES, learned, n);
      write(stored, 2 * STORED_BYTES, kept, n);
      write(stored.asSlice(3 * STORED_BYTES), learnedScore, n);
      write(stored.asSlice(5 * STORED_BYTES), keptScore, n);
      if (kind(learnedScore) != kind(keptScore)) {
        throw new IllegalArgumentException("both scores have to be of one kind");
      }
      MemorySegment rule = arena.allocate(Structures.MERGE_RULE);
      Structures.write(rule, new MergeRule(Score.SENSITIVITY, weighting, false, false));
      MemorySegment notFinite = arena.allocate(JAVA_LONG);
      check(
          library.storedMerge(
              out.data(),
              number(out.type()),
              stored,
              stored.asSlice(STORED_BYTES),
              stored.asSlice(2 * STORED_BYTES),
              stored.asSlice(3 * STORED_BYTES),
              stored.asSlice(5 * STORED_BYTES),
              kind(learnedScore),
              write(learnedBounds, arena),
              write(keptBounds, arena),
              rule,
              n,
              notFinite));
      return notFinite.get(JAVA_LONG, 0);
    }
  }

  private static MemorySegment write(Bounds bounds, Arena arena) {
    return arena.allocateFrom(JAVA_FLOAT, bounds.low(), bounds.high());
  }

  private static int kind(StoredScore score) {
    return switch (score) {
      case StoredScore.Difference _ -> 0;
      case StoredScore.Value _ -> 1;
      case StoredScore.Product _ -> 2;
    };
  }

  private static void write(MemorySegment pair, StoredScore score, long n) {
    switch (score) {
      case StoredScore.Difference(var a, var b) -> {
        write(pair, 0, a, n);
        write(pair, STORED_BYTES, b, n);
      }
      case StoredScore.Value(var a) -> write(pair, 0, a, n);
      case StoredScore.Product(var a, var b) -> {
        write(pair, 0, a, n);
        write(pair, STORED_BYTES, b, n);
      }
    }
  }

  private static void write(MemorySegment stored, long offset, StoredWeights run, long n) {
    if (run.elements() != n) {
      throw new IllegalArgumentException(
          "the runs of a call have %d elements, one has %d".formatted(n, run.elements()));
    }
    stored.set(ADDRESS, offset, run.data());
    stored.set(JAVA_INT, offset + ADDRESS.byteSize(), number(run.type()));
  }

  private static int number(DataType type) {
    return switch (type) {
      case F32 -> 0;
      case F16 -> 1;
      case BF16 -> 2;
      default -> throw new IllegalArgumentException("no arithmetic is done on " + type);
    };
  }

  private void check(int status) {
    if (status != NativeLibrary.OK) {
      throw new IllegalStateException(library.statusText(status));
    }
  }
}
