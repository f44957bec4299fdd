package io.github.recurrentkif.continual;

import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.memory.ParameterVector;

/** Factors by which the elements of a gradient are multiplied: 1 to keep one, 0 to drop it. */
final class GradientMask implements AutoCloseable {

  private final ParameterVector factors;
  private final ParameterVector scratch;

  /** Drops everything at first. */
  GradientMask(ParameterLayout layout, Kernels kernels) {
    this.factors = new ParameterVector(layout, kernels.device());
    this.scratch = new ParameterVector(layout, kernels.device());
  }

  /** To be written. */
  ParameterVector factors() {
    return factors;
  }

  /** {@code gradient = gradient*factors}. */
  void apply(ParameterVector gradient, Kernels kernels) {
    kernels.zero(scratch);
    kernels.accumulateProduct(scratch, gradient, factors, 1);
    kernels.copy(scratch, gradient);
  }

  @Override
  public void close() {
    factors.close();
    scratch.close();
  }
}
