package io.github.recurrentkif.training;

import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.memory.ParameterVector;

/**
 * The gradient of an update while its parts are added up. A part that is all there is needs no
 * adding: then its vector is the sum.
 */
public final class GradientSum implements AutoCloseable {

  private final Kernels kernels;
  private final ParameterVector part;
  private final ParameterVector sum;
  private boolean single;

  /**
   * @param weights whose layout and device the gradient has
   */
  public GradientSum(ParameterVector weights, Kernels kernels) {
    this.kernels = kernels;
    this.part = new ParameterVector(weights.layout(), weights.device());
    this.sum = new ParameterVector(weights.layout(), weights.device());
  }

  /** Begins a sum of so many parts, each multiplied by the scale. */
  public void begin(int parts, float scale) {
    single = parts == 1 && scale == 1;
    if (!single) {
      kernels.zero(sum);
    }
  }

  /** Where a part is written, before it is added. */
  public ParameterVector part() {
    return part;
  }

  /** Adds {@code scale * part}; the scale is the one begun with. */
  public void add(float scale) {
    if (!single) {
      kernels.accumulate(sum, part, scale);
    }
  }

  /** The sum, until the next one begins. */
  public ParameterVector total() {
    return single ? part : sum;
  }

  @Override
  public void close() {
    part.close();
    sum.close();
  }
}
