package io.github.recurrentkif.continual;

import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.kernels.MaskCounts;
import io.github.recurrentkif.kernels.MergeRule;
import io.github.recurrentkif.kernels.Side;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.training.Outcome;
import java.util.List;

/**
 * What an {@link Observer} is told. Vectors are the live ones: to be read, or copied, before the
 * observer returns.
 */
public sealed interface LearningEvent {

  /** Updates on new data completed in this task. */
  long completed();

  /** An update on new data, the {@code completed}-th, is done. */
  record AfterInner(long completed, Outcome outcome) implements LearningEvent {}

  /**
   * An update on replayed data is done.
   *
   * @param repeat from 0, within this outer loop
   */
  record AfterOuter(long completed, int repeat, Outcome outcome) implements LearningEvent {}

  /**
   * Both loops of a cycle are done and the thresholds known; the merge comes next.
   *
   * @param weights after the outer loop
   * @param base where the cycle began
   * @param snapshot the weights after the inner loop
   * @param inner what is important to the new task
   * @param outer what is important to the history
   * @param rule of the merge: thresholds are quantiles of its score, or ranges where it weighs
   */
  record BeforeMerge(
      long completed,
      ParameterVector weights,
      ParameterVector base,
      ParameterVector snapshot,
      Side inner,
      Side outer,
      MergeRule rule,
      Kernels kernels)
      implements LearningEvent {

    /** Whether parameters fall into classes, and are not weighed each by itself. */
    public boolean hasClasses() {
      return rule.weighting() instanceof MergeRule.Masks;
    }

    /**
     * Counts the classes of the coming merge: one more pass, and it waits for the device.
     *
     * @throws IllegalStateException if it has none, see {@link #hasClasses}
     */
    public MaskCounts maskCounts() {
      requireClasses();
      return kernels.maskCounts(inner, outer, rule.score());
    }

    /** The same of each tensor of the weights, in the order of their layout. */
    public List<MaskCounts> maskCountsByTensor() {
      requireClasses();
      return kernels.maskCountsByTensor(inner, outer, rule.score());
    }

    private void requireClasses() {
      if (!hasClasses()) {
        throw new IllegalStateException(
            "a merge by soft weights has no classes to count: it weighs each parameter by itself");
      }
    }
  }

  /**
   * A fusion is done. An observer may overwrite weights and base, which are equal, to let the
   * method go on from elsewhere.
   *
   * @param weights the merged weights
   * @param base the same, where the next cycle begins
   */
  record AfterFusion(long completed, ParameterVector weights, ParameterVector base)
      implements LearningEvent {}
}
