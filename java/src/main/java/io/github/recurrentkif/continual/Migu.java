package io.github.recurrentkif.continual;

import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.training.Learner;
import io.github.recurrentkif.training.Outcome;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/**
 * Magnitude-based gradient updating (MIGU; Du et al., Findings of EMNLP 2024): from the second task
 * on, each update moves only what gives the largest outputs for its tokens. A row of A or B, which
 * makes one element of the matrix's output, keeps its gradient where the mean magnitude of that
 * element lies above a quantile of those of the same matrix.
 *
 * <p>Needs an observed adapter; see {@link Learner#magnitudes}.
 */
public final class Migu<B> implements ContinualMethod<B> {

  private final double quantile;
  private final GradientMask mask;

  /**
   * @param quantile of the magnitudes, above which a row is updated: 0.7 leaves three rows in ten
   */
  public Migu(double quantile, ParameterLayout layout, Kernels kernels) {
    this.quantile = quantile;
    this.mask = new GradientMask(layout, kernels);
  }

  @Override
  public Outcome update(TaskPlan<B> plan, long completed, Learner<B> learner) {
    if (plan.task() == 0) {
      return learner.update(plan.inner(completed));
    }
    return learner.update(
        plan.inner(completed),
        gradient -> {
          choose(learner.magnitudes());
          mask.apply(gradient, learner.kernels());
        });
  }

  /** The sums over tokens serve as well as means: only their order within a matrix counts. */
  private void choose(ParameterVector magnitudes) {
    for (ParameterLayout.Tensor tensor : mask.factors().layout().tensors()) {
      float[] rows = magnitudes.download(tensor.name());
      double bound = Quantiles.of(rows, quantile);
      float[] factors = new float[Math.toIntExact(tensor.elements())];
      int width = factors.length / rows.length;
      for (int row = 0; row < rows.length; row++) {
        Arrays.fill(factors, row * width, (row + 1) * width, rows[row] > bound ? 1 : 0);
      }
      mask.factors().upload(tensor.name(), MemorySegment.ofArray(factors));
    }
  }

  @Override
  public void close() {
    mask.close();
  }
}
