package io.github.recurrentkif.kernels.bench;

import java.util.Arrays;

/**
 * Repeated measurements of one thing.
 *
 * @param median nanoseconds
 * @param lowerQuartile nanoseconds
 * @param upperQuartile nanoseconds
 * @param least nanoseconds
 */
public record Sample(double median, double lowerQuartile, double upperQuartile, double least) {

  /**
   * @throws IllegalArgumentException if there is no measurement
   */
  public static Sample of(double[] nanoseconds) {
    if (nanoseconds.length == 0) {
      throw new IllegalArgumentException("no measurement");
    }
    double[] ordered = nanoseconds.clone();
    Arrays.sort(ordered);
    return new Sample(at(ordered, 0.5), at(ordered, 0.25), at(ordered, 0.75), ordered[0]);
  }

  private static double at(double[] ordered, double quantile) {
    double rank = quantile * (ordered.length - 1);
    int below = (int) rank;
    int above = Math.min(below + 1, ordered.length - 1);
    return ordered[below] + (rank - below) * (ordered[above] - ordered[below]);
  }

  /** The distance of the quartiles as a share of the median. */
  public double spread() {
    return (upperQuartile - lowerQuartile) / median;
  }

  /** How much is moved in the median time; bytes per nanosecond are 10^9 bytes per second. */
  public double gigabytesPerSecond(long bytes) {
    return bytes / median;
  }
}
