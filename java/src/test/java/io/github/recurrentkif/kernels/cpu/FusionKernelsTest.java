package io.github.recurrentkif.kernels.cpu;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.recurrentkif.kernels.Bounds;
import io.github.recurrentkif.kernels.Combination;
import io.github.recurrentkif.kernels.Combination.Sparsity;
import io.github.recurrentkif.kernels.FusionKernels;
import io.github.recurrentkif.kernels.MergeRule;
import io.github.recurrentkif.kernels.MergeRule.Soft;
import io.github.recurrentkif.kernels.MergeRule.Weighting;
import io.github.recurrentkif.kernels.RandomKey;
import io.github.recurrentkif.kernels.StoredScore;
import io.github.recurrentkif.kernels.StoredWeights;
import io.github.recurrentkif.kernels.reference.ReferenceFusionKernels;
import io.github.recurrentkif.memory.DataType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

/** The C that fuses stored weights against the scalar Java that specifies it, bit by bit. */
final class FusionKernelsTest {

  private static final List<DataType> TYPES = List.of(DataType.F32, DataType.F16, DataType.BF16);

  /** Empty; around a vector of 8 or 16; around the span of 512 that the loops widen; several. */
  private static final int[] SIZES = {0, 1, 3, 7, 8, 9, 17, 511, 512, 513, 1027, 5000};

  private final FusionKernels reference = new ReferenceFusionKernels();
  private final FusionKernels kernels = CpuKernels.openFusion();
  private final SplittableRandom random = new SplittableRandom(7);

  /**
   * Numbers of every kind: large, small, subnormal, equal ones, zeros, now and then an infinity.
   */
  private StoredWeights numbers(Arena arena, DataType type, int n, boolean wild) {
    int bytes = type.bits() / Byte.SIZE;
    // At an odd place, as a tensor of a file may lie.
    MemorySegment data = arena.allocate((long) n * bytes + 1, 8).asSlice(1);
    for (int i = 0; i < n; i++) {
      float x =
          switch (random.nextInt(wild ? 12 : 6)) {
            case 0 -> 0;
            case 1 -> -0f;
            case 2 -> 0.25f;
            case 3, 4, 5 -> (float) random.nextDouble(-1, 1);
            case 6 -> (float) random.nextDouble(-1, 1) * 1e-7f;
            case 7 -> (float) random.nextDouble(-70000, 70000);
            case 8 -> Float.intBitsToFloat(random.nextInt());
            case 9 -> Float.POSITIVE_INFINITY;
            case 10 -> Float.MIN_VALUE * random.nextInt(1000);
            default -> (float) random.nextDouble(-1, 1) * 0x1p-14f;
          };
      switch (type) {
        case F16 -> setShort(data, i, Float.floatToFloat16(x));
        case BF16 -> setShort(data, i, (short) (Float.floatToRawIntBits(x) >>> 16));
        default -> data.set(JAVA_FLOAT.withByteAlignment(1), (long) i * Float.BYTES, x);
      }
    }
    return new StoredWeights(type, data);
  }

  private static void setShort(MemorySegment data, int i, short value) {
    data.set(JAVA_SHORT.withByteAlignment(1), (long) i * Short.BYTES, value);
  }

  private static StoredWeights empty(Arena arena, DataType type, int n) {
    return new StoredWeights(
        type, arena.allocate((long) n * type.bits() / Byte.SIZE + 1, 8).asSlice(1));
  }

  /** The bits, with every kind of NaN alike: which one an operation gives is the processor's. */
  private static int[] bits(StoredWeights run) {
    int[] bits = new int[(int) run.elements()];
    for (int i = 0; i < bits.length; i++) {
      bits[i] =
          switch (run.type()) {
            case F16 -> {
              short half = run.data().get(JAVA_SHORT.withByteAlignment(1), 2L * i);
              yield (half & 0x7fff) > 0x7c00 ? 0x7e00 : half;
            }
            case BF16 -> {
              short half = run.data().get(JAVA_SHORT.withByteAlignment(1), 2L * i);
              yield (half & 0x7fff) > 0x7f80 ? 0x7fc0 : half;
            }
            default ->
                Float.floatToIntBits(run.data().get(JAVA_FLOAT.withByteAlignment(1), 4L * i));
          };
    }
    return bits;
  }

  @Test
  void combinesLikeTheSpecification() {
    List<Sparsity> sparsities =
        List.of(
            new Sparsity.None(),
            new Sparsity.Large(),
            new Sparsity.Random(RandomKey.ofSeed(3), 0.3));
    for (DataType type : TYPES) {
      for (int n : SIZES) {
        for (Sparsity sparsity : sparsities) {
          for (int flags = 0; flags < 8; flags++) {
            combine(
                type,
                n,
                new Combination(
                    (flags & 1) != 0, sparsity, (flags & 2) != 0, (flags & 4) != 0, 0.7f));
          }
        }
      }
    }
  }

  private void combine(DataType type, int n, Combination rule) {
    try (Arena arena = Arena.ofConfined()) {
      boolean wild = n % 2 == 1;
      StoredWeights base = numbers(arena, type, n, wild);
      List<StoredWeights> models = new ArrayList<>();
      for (DataType each : TYPES) {
        models.add(numbers(arena, each, n, wild));
      }
      float[] weights = {0.5f, -0.25f, 1.5f};
      float[] thresholds = {0.25f, 0.1f, 0};
      StoredWeights expected = empty(arena, type, n);
      StoredWeights found = empty(arena, type, n);
      long first = 12345678901L;
      long expectedBad =
          reference.combine(expected, base, models, weights, thresholds, rule, first);
      long bad = kernels.combine(found, base, models, weights, thresholds, rule, first);
      assertArrayEquals(bits(expected), bits(found), () -> type + " " + n + " " + rule);
      assertEquals(expectedBad, bad, () -> type + " " + n + " " + rule);
    }
  }

  @Test
  void mergesLikeTheSpecification() {
    for (DataType type : TYPES) {
      for (int n : SIZES) {
        for (int kind = 0; kind < 3; kind++) {
          try (Arena arena = Arena.ofConfined()) {
            StoredWeights base = numbers(arena, type, n, false);
            StoredWeights learned = numbers(arena, DataType.F32, n, true);
            StoredWeights kept = numbers(arena, type, n, false);
            StoredWeights importance = numbers(arena, DataType.F32, n, false);
            StoredScore first = score(kind, learned, base, importance);
            StoredScore second = score(kind, kept, base, importance);
            Bounds one = reference.range(first, Bounds.OF_NOTHING);
            assertEquals(one, kernels.range(first, Bounds.OF_NOTHING));
            Bounds both = reference.range(second, one);
            assertEquals(both, kernels.range(second, one));
            assertBothMerge(type, base, learned, kept, first, second, one, both, new Soft(0.2));
            assertBothMerge(
                type,
                base,
                learned,
                kept,
                first,
                second,
                Bounds.threshold(0.1f),
                Bounds.threshold(0.25f),
                MergeRule.referenceMasks());
          }
        }
      }
    }
  }

  private void assertBothMerge(
      DataType type,
      StoredWeights base,
      StoredWeights learned,
      StoredWeights kept,
      StoredScore first,
      StoredScore second,
      Bounds one,
      Bounds two,
      Weighting weighting) {
    int n = (int) base.elements();
    try (Arena arena = Arena.ofConfined()) {
      StoredWeights expected = empty(arena, type, n);
      StoredWeights found = empty(arena, type, n);
      long wanted =
          reference.merge(expected, base, learned, kept, first, second, one, two, weighting);
      long bad = kernels.merge(found, base, learned, kept, first, second, one, two, weighting);
      assertArrayEquals(bits(expected), bits(found), type + " " + n + " " + weighting);
      assertEquals(wanted, bad);
    }
  }

  private static StoredScore score(int kind, StoredWeights a, StoredWeights b, StoredWeights i) {
    return switch (kind) {
      case 0 -> new StoredScore.Difference(a, b);
      case 1 -> new StoredScore.Value(i);
      default -> new StoredScore.Product(i, a);
    };
  }

  @Test
  void countsLikeTheSpecification() {
    for (DataType type : TYPES) {
      for (int n : SIZES) {
        try (Arena arena = Arena.ofConfined()) {
          StoredScore score =
              new StoredScore.Difference(
                  numbers(arena, type, n, true), numbers(arena, DataType.BF16, n, true));
          long bytes = (long) FusionKernels.HISTOGRAM_SIZE * Integer.BYTES;
          MemorySegment expected = arena.allocate(bytes, 4);
          MemorySegment found = arena.allocate(bytes, 4);
          reference.histogram(score, expected);
          kernels.histogram(score, found);
          assertEquals(-1, expected.mismatch(found));
          assertEquals(n, sum(found));
          int prefix = 0x3e800000 >>> 15; // around 0.25
          reference.histogramBelow(score, prefix, expected.fill((byte) 0));
          kernels.histogramBelow(score, prefix, found.fill((byte) 0));
          assertEquals(-1, expected.mismatch(found));
        }
      }
    }
  }

  private static long sum(MemorySegment counts) {
    return counts.elements(JAVA_INT).mapToLong(count -> count.get(JAVA_INT, 0)).sum();
  }

  /** Every half, and every rounding to a half next to it: the two types have no room to hide. */
  @Test
  void widensEveryHalfAndRoundsToEachExactly() {
    try (Arena arena = Arena.ofConfined()) {
      int n = 3 << 16;
      MemorySegment data = arena.allocate((long) n * Float.BYTES, 4);
      for (int half = 0; half < 1 << 16; half++) {
        float x = Float.float16ToFloat((short) half);
        float next = Math.nextUp(x);
        data.setAtIndex(JAVA_FLOAT, 3L * half, x);
        // Half way to the next half, and a little more: ties and their neighbours.
        float tie = (float) (((double) x + Float.float16ToFloat((short) (half + 1))) / 2);
        data.setAtIndex(JAVA_FLOAT, 3L * half + 1, Float.isNaN(tie) ? next : tie);
        data.setAtIndex(JAVA_FLOAT, 3L * half + 2, Math.nextUp(tie));
      }
      StoredWeights values = new StoredWeights(DataType.F32, data);
      Combination copy = new Combination(false, new Sparsity.None(), false, false, 1);
      for (DataType type : TYPES) {
        StoredWeights expected = empty(arena, type, n);
        StoredWeights found = empty(arena, type, n);
        float[] one = {1};
        assertEquals(
            reference.combine(expected, values, List.of(values), one, one, copy, 0),
            kernels.combine(found, values, List.of(values), one, one, copy, 0));
        assertArrayEquals(bits(expected), bits(found), type.name());
        StoredWeights back = empty(arena, DataType.F32, n);
        StoredWeights again = empty(arena, DataType.F32, n);
        reference.combine(back, expected, List.of(expected), one, one, copy, 0);
        kernels.combine(again, found, List.of(found), one, one, copy, 0);
        assertArrayEquals(bits(back), bits(again), type.name());
      }
    }
  }

  @Test
  void readsNothingButItsRun() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment all = arena.allocate(64).fill((byte) 0x55);
      StoredWeights run = new StoredWeights(DataType.BF16, all.asSlice(2, 10));
      kernels.combine(
          run,
          run,
          List.of(new StoredWeights(DataType.BF16, arena.allocate(10))),
          new float[] {1},
          new float[] {0},
          new Combination(false, new Sparsity.None(), false, false, 1),
          0);
      assertEquals(0x55, all.get(JAVA_BYTE, 1));
      assertEquals(0, all.get(JAVA_BYTE, 2));
      assertEquals(0, all.get(JAVA_BYTE, 11));
      assertEquals(0x55, all.get(JAVA_BYTE, 12));
    }
  }
}
