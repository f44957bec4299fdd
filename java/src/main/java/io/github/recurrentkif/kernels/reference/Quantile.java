package io.github.recurrentkif.kernels.reference;

/**
 * The exact quantile of non-negative floats, as {@code torch.quantile} defines it with linear
 * interpolation.
 */
final class Quantile {

  /** A long index to a float. */
  @FunctionalInterface
  interface Floats {
    float at(long index);
  }

  /**
   * Up to here torch 2.13 and before, with which the method was published, form the rank in
   * float32. They refuse more elements; there we use double as later versions do.
   */
  private static final long FLOAT_RANKS = 1L << 24;

  /** Bits of a magnitude, from the top, that each pass of a selection tells apart. */
  private static final int[] DIGITS = {11, 10, 10};

  private static final int INFINITY_BITS = 0x7f800000;

  private Quantile() {}

  /**
   * The quantile of the values that are not padding.
   *
   * @param values {@code length} non-negative values, of which {@code padding} are zeros to leave
   *     out
   * @return NaN if a value is NaN or none is left
   */
  static float of(Floats values, long length, long padding, double quantile) {
    long n = length - padding;
    if (n == 0 || anyNaN(values, length)) {
      return Float.NaN;
    }
    long below;
    long above;
    float fraction;
    if (n <= FLOAT_RANKS) {
      float rank = (float) quantile * (float) (n - 1);
      below = (long) rank;
      above = (long) Math.ceil(rank);
      fraction = rank - below;
    } else {
      double rank = (double) (float) quantile * (double) (n - 1);
      below = (long) rank;
      above = (long) Math.ceil(rank);
      fraction = (float) (rank - below);
    }
    // Padding is zero, and no value is smaller: it fills the first ranks.
    float a = ofRank(values, length, below + padding);
    float b = above == below ? a : ofRank(values, length, above + padding);
    return lerp(a, b, fraction);
  }

  /** As torch interpolates: from the nearer end. */
  private static float lerp(float a, float b, float weight) {
    return weight < 0.5f ? a + weight * (b - a) : b - (b - a) * (1 - weight);
  }

  /**
   * The value of that rank, counted from 0. Non-negative floats order like their bits, so digits of
   * the bits are found one after another, from the top.
   */
  private static float ofRank(Floats values, long length, long rank) {
    int prefix = 0;
    int shift = 31;
    for (int digit : DIGITS) {
      long[] counts = new long[1 << digit];
      for (long i = 0; i < length; i++) {
        int bits = magnitude(values.at(i));
        if (bits >>> shift == prefix) {
          counts[(bits >>> (shift - digit)) & (counts.length - 1)]++;
        }
      }
      int bin = 0;
      while (rank >= counts[bin]) {
        rank -= counts[bin];
        bin++;
      }
      prefix = prefix << digit | bin;
      shift -= digit;
    }
    return Float.intBitsToFloat(prefix);
  }

  private static boolean anyNaN(Floats values, long length) {
    for (long i = 0; i < length; i++) {
      if (magnitude(values.at(i)) > INFINITY_BITS) {
        return true;
      }
    }
    return false;
  }

  private static int magnitude(float value) {
    return Float.floatToRawIntBits(value) & Integer.MAX_VALUE;
  }
}
