package io.github.recurrentkif.training;

/** The learning rate of each update of a task, computed in double. */
public sealed interface LearningRateSchedule {

  /** The rate of the update that follows {@code completed} updates of the same task. */
  double at(long completed);

  /**
   * Linear warm-up from zero and linear decay to zero, as in the Transformers library: {@code peak
   * * s/warmup} for {@code s < warmup}, then {@code peak * max(0, (total-s)/(total-warmup))}. The
   * very first update has rate zero: it only fills the optimiser's moments.
   *
   * @param peak the highest rate, reached after {@code warmupUpdates}
   * @param totalUpdates may be smaller than {@code warmupUpdates}; the peak is then never reached
   */
  record WarmupLinear(double peak, long warmupUpdates, long totalUpdates)
      implements LearningRateSchedule {

    public WarmupLinear {
      if (!(peak >= 0) || warmupUpdates < 0 || totalUpdates < 0) {
        throw new IllegalArgumentException(
            "a schedule needs a peak, a warm-up and a total that are not negative, got %s, %d, %d"
                .formatted(peak, warmupUpdates, totalUpdates));
      }
    }

    @Override
    public double at(long completed) {
      if (completed < warmupUpdates) {
        return peak * ((double) completed / warmupUpdates);
      }
      double decayUpdates = Math.max(1, totalUpdates - warmupUpdates);
      return peak * Math.max(0, (totalUpdates - completed) / decayUpdates);
    }
  }

  /** The same rate for every update. */
  record Constant(double rate) implements LearningRateSchedule {

    public Constant {
      if (!(rate >= 0)) {
        throw new IllegalArgumentException("a learning rate must not be negative, got " + rate);
      }
    }

    @Override
    public double at(long completed) {
      return rate;
    }
  }
}
