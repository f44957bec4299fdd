package io.github.recurrentkif.kernels;

/**
 * The key of a counter-based random stream: which numbers are drawn follows from where in a run
 * they are drawn, never from what was drawn before, so that a run can be resumed and repeated.
 *
 * @param bits 64 well-mixed bits: the two key words of Philox 4x32-10
 */
public record RandomKey(long bits) {

  public static RandomKey ofSeed(long seed) {
    return new RandomKey(mix(seed));
  }

  /**
   * The key of a place below this one: a task, an update, a repeat; {@code key.at(a).at(b)} is not
   * {@code at(b).at(a)}.
   */
  public RandomKey at(long place) {
    return new RandomKey(mix(bits + 0x9E3779B97F4A7C15L * (place + 1)));
  }

  /** A number of [0, 1), with 53 random bits. */
  public double uniform() {
    return (bits >>> 11) * 0x1p-53;
  }

  /**
   * A whole number from 0 to n - 1: the word of this place scaled to n numbers, one of which is
   * likelier than another by less than n / 2^64, below 2^-33 for every {@code int}.
   *
   * @param n positive
   */
  public int below(int n) {
    return (int) Math.unsignedMultiplyHigh(bits, n);
  }

  /** The output function of SplitMix64 (Steele, Lea, Flood 2014, with Stafford's constants). */
  private static long mix(long z) {
    z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
    z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
    return z ^ (z >>> 31);
  }
}
