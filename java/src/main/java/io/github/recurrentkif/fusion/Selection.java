package io.github.recurrentkif.fusion;

import io.github.recurrentkif.kernels.FusionKernels;

/**
 * Exact order statistics of scores from two histograms of their bits: the first tells in which of
 * 65536 bins the score of a rank lies, the second which of the scores in that bin it is.
 */
final class Selection {

  /** Up to so many scores, a rank is formed in float32, as torch.quantile did. */
  private static final long SINGLE_PRECISION = 1L << 24;

  /** Where a score stands: its bin, and how many of that bin are below it. */
  record Place(int prefix, long below) {}

  private Selection() {}

  /** The place of the score of a rank, from 0 for the smallest. */
  static Place place(long[] bins, long rank) {
    long below = 0;
    for (int bin = 0; bin < FusionKernels.HISTOGRAM_SIZE; bin++) {
      if (rank < below + bins[bin]) {
        return new Place(bin, rank - below);
      }
      below += bins[bin];
    }
    throw new IllegalArgumentException("rank " + rank + " of " + below + " scores");
  }

  /** The score at a place, from the histogram below its prefix. */
  static float score(Place place, long[] lower) {
    long left = place.below();
    for (int bits = 0; bits < 1 << 15; bits++) {
      if (left < lower[bits]) {
        return Float.intBitsToFloat((place.prefix() << 15) | bits);
      }
      left -= lower[bits];
    }
    throw new IllegalArgumentException("the bin holds fewer scores than the first histogram told");
  }

  /**
   * The ranks whose scores a quantile lies between, and how far above the lower one; as {@code
   * Kernels.threshold} forms them.
   */
  record Rank(long lower, long upper, float fraction) {

    static Rank of(double quantile, long scores) {
      float q = (float) quantile;
      double rank =
          scores <= SINGLE_PRECISION ? q * (float) (scores - 1) : (double) q * (scores - 1);
      long lower = (long) Math.floor(rank);
      return new Rank(lower, (long) Math.ceil(rank), (float) (rank - lower));
    }

    float between(float a, float b) {
      return fraction < 0.5f ? a + fraction * (b - a) : b - (b - a) * (1 - fraction);
    }
  }
}
