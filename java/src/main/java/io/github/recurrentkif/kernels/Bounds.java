package io.github.recurrentkif.kernels;

/**
 * Two scores that the scores of one side of a merge are held against.
 *
 * @param low the threshold of masks; the least score, for soft weights
 * @param high the greatest score, for soft weights
 */
public record Bounds(float low, float high) {

  /** The range of no scores: what a range over several runs of elements begins with. */
  public static final Bounds OF_NOTHING =
      new Bounds(Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY);

  /** For masks. */
  public static Bounds threshold(float threshold) {
    return new Bounds(threshold, threshold);
  }

  /** The range of both together; NaN if one is. */
  public Bounds and(Bounds other) {
    return new Bounds(Math.min(low, other.low), Math.max(high, other.high));
  }
}
