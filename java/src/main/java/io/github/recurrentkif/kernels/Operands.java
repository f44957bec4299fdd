package io.github.recurrentkif.kernels;

import io.github.recurrentkif.memory.Device;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.memory.ParameterVector;

/** What every backend demands of the vectors of one call. */
public final class Operands {

  private Operands() {}

  /**
   * Checks that all vectors lie on the device, share one layout and are different vectors.
   *
   * @return the layout they share
   * @throws IllegalArgumentException if not
   */
  public static ParameterLayout requireAlike(Device device, ParameterVector... vectors) {
    ParameterLayout layout = vectors[0].layout();
    for (int i = 0; i < vectors.length; i++) {
      ParameterVector vector = vectors[i];
      requireOn(device, vector.device());
      if (!vector.layout().equals(layout)) {
        throw new IllegalArgumentException(
            "vectors of one kernel must share a layout; the first has "
                + layout
                + ", number "
                + (i + 1)
                + " has "
                + vector.layout());
      }
      for (int j = 0; j < i; j++) {
        if (vectors[j] == vector) {
          throw new IllegalArgumentException(
              "vectors of one kernel must not be the same vector; numbers "
                  + (j + 1)
                  + " and "
                  + (i + 1)
                  + " are");
        }
      }
    }
    return layout;
  }

  /**
   * Checks a sum and the two factors of its terms, which may be the same vector.
   *
   * @return the layout they share
   */
  public static ParameterLayout requireProduct(
      Device device, ParameterVector sum, ParameterVector first, ParameterVector second) {
    return first == second
        ? requireAlike(device, sum, first)
        : requireAlike(device, sum, first, second);
  }

  /** Checks that something lies where the kernels run. */
  public static void requireOn(Device device, Device actual) {
    if (!actual.name().equals(device.name())) {
      throw new IllegalArgumentException(
          "kernels of device "
              + device.name()
              + " were given memory of device "
              + actual.name()
              + "; copy it there first");
    }
  }

  /** Checks that a threshold lies where the kernels run, and has no parts of another layout. */
  public static void requireThreshold(Device device, ParameterLayout layout, Threshold threshold) {
    requireOn(device, threshold.device());
    if (threshold.layout().isPresent() && !threshold.layout().get().equals(layout)) {
      throw new IllegalArgumentException(
          "thresholds of each tensor of one layout were given for another: "
              + threshold.layout().get()
              + ", "
              + layout);
    }
  }

  /**
   * Checks scores and what is found of them.
   *
   * @return the layout of the importance
   */
  public static ParameterLayout requireScores(
      Device device, Importance importance, Threshold result) {
    ParameterLayout layout =
        requireAlike(device, importance.sensitivity(), importance.uncertainty());
    requireThreshold(device, layout, result);
    return layout;
  }

  /**
   * Checks what is merged.
   *
   * @return the layout of all vectors
   */
  public static ParameterLayout requireMerge(
      Device device,
      ParameterVector weights,
      ParameterVector base,
      ParameterVector snapshot,
      Side inner,
      Side outer) {
    ParameterLayout layout =
        requireAlike(
            device,
            weights,
            base,
            snapshot,
            inner.importance().sensitivity(),
            inner.importance().uncertainty(),
            outer.importance().sensitivity(),
            outer.importance().uncertainty());
    requireThresholds(device, layout, inner, outer);
    return layout;
  }

  /**
   * Checks what the classes of a merge are counted from.
   *
   * @return the layout of both importances
   */
  public static ParameterLayout requireCounted(Device device, Side inner, Side outer) {
    ParameterLayout layout =
        requireAlike(
            device,
            inner.importance().sensitivity(),
            inner.importance().uncertainty(),
            outer.importance().sensitivity(),
            outer.importance().uncertainty());
    requireThresholds(device, layout, inner, outer);
    return layout;
  }

  private static void requireThresholds(
      Device device, ParameterLayout layout, Side inner, Side outer) {
    requireThreshold(device, layout, inner.threshold());
    requireOn(device, outer.threshold().device());
    if (!outer.threshold().layout().equals(inner.threshold().layout())) {
      throw new IllegalArgumentException(
          "both thresholds of a merge must be for all tensors together or for each alone");
    }
  }

  /** Checks that a quantile lies in [0, 1]. */
  public static void requireQuantile(double quantile) {
    if (!(quantile >= 0 && quantile <= 1)) {
      throw new IllegalArgumentException("a quantile must lie in [0, 1]: " + quantile);
    }
  }

  /**
   * Checks that a dropout mask has the size of its extents, and that Philox can count them: planes
   * and rows up to 2^32, columns up to 2^34.
   */
  public static void requireMask(long bytes, long planes, long rows, long columns) {
    long words = 1L << 32;
    if (planes < 0
        || rows < 0
        || columns < 0
        || planes > words
        || rows > words
        || columns > 4 * words) {
      throw new IllegalArgumentException(
          "a dropout mask of shape [%d, %d, %d] is out of range".formatted(planes, rows, columns));
    }
    long elements =
        planes == 0 || rows == 0 || columns == 0
            ? 0
            : Math.multiplyExact(Math.multiplyExact(planes, rows), columns);
    if (bytes != Math.multiplyExact(elements, (long) Float.BYTES)) {
      throw new IllegalArgumentException(
          "a dropout mask of shape [%d, %d, %d] takes %d elements of 4 bytes, got %d bytes"
              .formatted(planes, rows, columns, elements, bytes));
    }
  }
}
