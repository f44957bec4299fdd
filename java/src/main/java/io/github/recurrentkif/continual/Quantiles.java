package io.github.recurrentkif.continual;

import java.util.Arrays;

/** Quantiles of few numbers, with linear interpolation between neighbours. */
final class Quantiles {

  private Quantiles() {}

  /**
   * @param values at least one
   * @param quantile in [0, 1]
   */
  static double of(double[] values, double quantile) {
    double[] sorted = values.clone();
    Arrays.sort(sorted);
    double rank = quantile * (sorted.length - 1);
    int below = (int) rank;
    int above = Math.min(below + 1, sorted.length - 1);
    return sorted[below] + (rank - below) * (sorted[above] - sorted[below]);
  }

  static double of(float[] values, double quantile) {
    double[] wide = new double[values.length];
    for (int i = 0; i < wide.length; i++) {
      wide[i] = values[i];
    }
    return of(wide, quantile);
  }
}
