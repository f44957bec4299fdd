package io.github.recurrentkif.data;

/**
 * How many samples of a task are used: the first ones in the order of the file, never a random
 * choice, so that a smaller run sees a prefix of what a larger one sees.
 *
 * @param maximumTrainSamples at least 1
 * @param maximumTestSamples at least 1; holds for whichever split stands in for the test set
 */
public record SampleLimits(int maximumTrainSamples, int maximumTestSamples) {

  /** Every sample there is. */
  public static final SampleLimits NONE = new SampleLimits(Integer.MAX_VALUE, Integer.MAX_VALUE);

  public SampleLimits {
    if (maximumTrainSamples < 1 || maximumTestSamples < 1) {
      throw new IllegalArgumentException(
          "a task needs at least one sample of each kind, the limits are %d and %d"
              .formatted(maximumTrainSamples, maximumTestSamples));
    }
  }
}
