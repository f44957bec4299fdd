package io.github.recurrentkif.kernels.cuda;

/**
 * Where a quantile lies among sorted values, as {@code torch.quantile} has it up to version 2.13:
 * ranks in float32 up to 2^24 elements and in double above.
 *
 * @param lower rank of the lower neighbour, counted from 0 with the padding, whose zeros come first
 * @param between whether the upper neighbour is the next rank and not the lower one
 * @param fraction the way from the lower to the upper
 */
record Rank(long lower, boolean between, float fraction) {

  private static final long FLOAT_RANKS = 1L << 24;

  static Rank of(double quantile, long elements, long padding) {
    if (elements == 0) {
      return new Rank(0, false, 0);
    }
    if (elements <= FLOAT_RANKS) {
      float rank = (float) quantile * (float) (elements - 1);
      long lower = (long) rank;
      return new Rank(lower + padding, Math.ceil(rank) > lower, rank - lower);
    }
    double rank = (double) (float) quantile * (double) (elements - 1);
    long lower = (long) rank;
    return new Rank(lower + padding, Math.ceil(rank) > lower, (float) (rank - lower));
  }
}
