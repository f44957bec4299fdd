package io.github.recurrentkif.kernels.cpu;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import io.github.recurrentkif.kernels.Importance;
import io.github.recurrentkif.kernels.Score;
import io.github.recurrentkif.kernels.Threshold;
import io.github.recurrentkif.kernels.cpu.NativeBackends.NativeBackend;
import io.github.recurrentkif.memory.HostMemory;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.memory.Shape;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/**
 * The threshold in C looks at a sample, keeps what lies in a bracket (few of them it sorts), and
 * looks through everything again where the bracket does not hold the two elements: each way must
 * give what sorting gives.
 */
final class ThresholdSelectionTest {

  private static final int FEW = 64;
  private static final int KEPT_ALL = 1 << 15;
  private static final int THREAD_BLOCK = 1 << 16;

  /** With this size one element in 32 is looked at first. */
  private static final int SAMPLED = 1 << 17;

  private static final int SAMPLES = 1 << 12;
  private static final double QUANTILE = 0.8;

  private static final float NEGATIVE_NAN = Float.intBitsToFloat(0xffc00000);

  /** One tensor of scores, as the kernels take them. */
  private static final class Scores implements AutoCloseable {

    final int n;
    final Importance importance;
    final Threshold threshold;

    Scores(int n) {
      LinkedHashMap<String, Shape> shapes = new LinkedHashMap<>();
      shapes.put("a", Shape.of(n));
      HostMemory memory = new HostMemory();
      this.n = n;
      importance = Importance.zero(ParameterLayout.of(shapes), memory);
      threshold = new Threshold(memory);
    }

    /** Scored as I and, with U = 2, as I*U. */
    void set(int i, float score) {
      importance.sensitivity().segment().setAtIndex(JAVA_FLOAT, i, score);
      importance.uncertainty().segment().setAtIndex(JAVA_FLOAT, i, 2);
    }

    void set(float[] scores) {
      for (int i = 0; i < n; i++) {
        set(i, scores[i]);
      }
    }

    float threshold(NativeKernels kernels, Score score, double quantile) {
      kernels.threshold(importance, score, quantile, threshold);
      return threshold.value();
    }

    @Override
    public void close() {
      importance.close();
      threshold.close();
    }
  }

  /** From all elements in order, by the formula of kif_threshold. */
  private static float quantile(float[] sorted, double quantile) {
    float rank = (float) quantile * (sorted.length - 1);
    int below = (int) rank;
    return interpolated(sorted[below], sorted[rank > below ? below + 1 : below], rank - below);
  }

  private static float interpolated(float a, float b, float fraction) {
    return fraction < 0.5f ? a + fraction * (b - a) : b - (b - a) * (1 - fraction);
  }

  private static void assertSorted(float[] scores, String what) {
    float[] sorted = scores.clone();
    Arrays.sort(sorted);
    try (Scores space = new Scores(scores.length)) {
      space.set(scores);
      for (NativeBackend backend : NativeBackends.all()) {
        try (NativeKernels kernels = backend.open()) {
          for (double q : new double[] {0, 1e-4, 0.2, 0.5, QUANTILE, 0.9999, 1}) {
            String where = "%s, n = %d, q = %s, %s".formatted(what, scores.length, q, backend);
            float expected = quantile(sorted, q);
            assertEquals(expected, space.threshold(kernels, Score.SENSITIVITY, q), where);
            assertEquals(
                2 * expected,
                space.threshold(kernels, Score.SENSITIVITY_TIMES_UNCERTAINTY, q),
                where);
          }
        }
      }
    }
  }

  private static float[] drawn(int n, long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    float[] scores = new float[n];
    for (int i = 0; i < n; i++) {
      scores[i] = (float) Math.exp(3 * random.nextGaussian());
    }
    return scores;
  }

  @Test
  void findsWhatSortingFindsAroundTheSizesWhereItChangesItsWay() {
    for (int n = 1; n <= FEW + 2; n++) {
      assertSorted(drawn(n, n), "drawn");
    }
    for (int boundary : new int[] {KEPT_ALL, THREAD_BLOCK}) {
      for (int n = boundary - 1; n <= boundary + 1; n++) {
        assertSorted(drawn(n, n), "drawn");
      }
    }
    // Beyond this, the sample grows with the size.
    assertSorted(drawn((1 << 20) + 257, 1), "drawn");
  }

  @Test
  void moreTiesThanAreKeptDoNoHarm() {
    // A bracket keeps 2^15 + n/16 elements at most; here one value has half of all, or nearly all.
    for (int n : new int[] {SAMPLED, (1 << 18) + 3}) {
      float[] half = drawn(n, 2);
      float[] most = drawn(n, 3);
      float[] all = new float[n];
      for (int i = 0; i < n; i++) {
        half[i] = i % 2 == 0 ? 1 : half[i];
        most[i] = i % 1000 == 0 ? most[i] : 1;
        all[i] = 1;
      }
      assertSorted(half, "half equal");
      assertSorted(most, "nearly all equal");
      assertSorted(all, "all equal");
      assertSorted(new float[n], "all zero");
    }
  }

  /**
   * Moves the two neighbours through all ranks of the sample, past both ends of the bracket: only
   * the elements that are sampled lie close together, all others far below or far above. So where
   * the lower neighbour is the last element in the bracket, the next one is none of those kept.
   */
  @Test
  void theNeighboursMayLieAnywhereAgainstTheBracket() {
    boolean[] sampled = new boolean[SAMPLED];
    sampledPlaces().forEach(place -> sampled[place] = true);
    int[] others = IntStream.range(0, SAMPLED).filter(i -> !sampled[i]).toArray();
    float rank = (float) QUANTILE * (SAMPLED - 1);
    int below = (int) rank;
    try (Scores space = new Scores(SAMPLED);
        NativeKernels kernels = NativeBackends.all().getLast().open()) {
      int[] places = sampledPlaces().toArray();
      for (int j = 0; j < SAMPLES; j++) {
        // 1 + j/4096, in an order that has nothing to do with the places.
        space.set(places[j], inSample(j * 1237 % SAMPLES));
      }
      for (int i = 0; i < others.length; i++) {
        space.set(others[i], i < below + 1 ? 0.5f : 3);
      }
      for (int lower = 0; lower <= SAMPLES; lower++) {
        // So many of the below + 1 elements up to the lower neighbour are in the sample.
        if (lower > 0) {
          space.set(others[below + 1 - lower], 3);
        }
        float a = lower == 0 ? 0.5f : inSample(lower - 1);
        float b = lower == SAMPLES ? 3 : inSample(lower);
        assertEquals(
            interpolated(a, b, rank - below),
            space.threshold(kernels, Score.SENSITIVITY, QUANTILE),
            "neighbours " + a + " and " + b);
      }
    }
  }

  private static float inSample(int order) {
    return 1 + (float) order / SAMPLES;
  }

  /** Where kif.c looks first; elsewhere the test would still be right, but miss its aim. */
  private static IntStream sampledPlaces() {
    int stride = SAMPLED / SAMPLES;
    return IntStream.range(0, SAMPLES)
        .map(j -> j * stride + (int) ((((j + 1) * 0x9E3779B97F4A7C15L) >>> 40) % stride));
  }

  @Test
  void oneNaNAnywhereIsSeen() {
    boolean[] sampled = new boolean[SAMPLED];
    sampledPlaces().forEach(place -> sampled[place] = true);
    int[] others = IntStream.range(0, SAMPLED).filter(i -> !sampled[i]).toArray();
    float[] drawn = drawn(SAMPLED, 4);
    float[] ties = new float[SAMPLED];
    Arrays.fill(ties, 1);
    int[] places = {
      others[0],
      others[others.length / 2],
      others[others.length - 1],
      sampledPlaces().findFirst().orElseThrow()
    };
    for (NativeBackend backend : NativeBackends.all()) {
      try (Scores space = new Scores(SAMPLED);
          NativeKernels kernels = backend.open()) {
        for (float[] scores : new float[][] {drawn, ties}) {
          space.set(scores);
          for (int place : places) {
            for (float nan : new float[] {Float.NaN, NEGATIVE_NAN}) {
              space.set(place, nan);
              for (Score score : Score.values()) {
                for (double q : new double[] {0, QUANTILE, 1}) {
                  assertEquals(
                      Float.NaN,
                      space.threshold(kernels, score, q),
                      "at %d, q = %s, %s".formatted(place, q, backend));
                }
              }
              space.set(place, scores[place]);
            }
          }
          assertFalse(Float.isNaN(space.threshold(kernels, Score.SENSITIVITY, QUANTILE)));
        }
      }
    }
  }
}
