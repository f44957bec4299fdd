package io.github.recurrentkif.kernels;

import io.github.recurrentkif.memory.Device;
import io.github.recurrentkif.memory.ParameterVector;
import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * The operations of the method on flat vectors.
 *
 * <p>Every implementation gives the same bits: multiplications and additions are rounded one by one
 * (no fused multiply-add, no fast-math, no flush to zero), in the order the formulas are written.
 * All vectors of a call share one layout and lie on {@link #device()}; padding is zero before and
 * after. Vectors of one call must not be the same vector. Calls are queued in order; only methods
 * that return a value wait for it.
 */
public interface Kernels extends AutoCloseable {

  /** For people: which code runs, with which instruction set and how many threads. */
  String description();

  Device device();

  /** {@code v = 0}. */
  void zero(ParameterVector vector);

  /** {@code target = source}. */
  void copy(ParameterVector source, ParameterVector target);

  /** {@code sum = sum + scale*term}. */
  void accumulate(ParameterVector sum, ParameterVector term, float scale);

  /**
   * {@code sum = sum + scale*(first*second)}, element by element. Both factors may be the same
   * vector, for a square.
   */
  void accumulateProduct(
      ParameterVector sum, ParameterVector first, ParameterVector second, float scale);

  /**
   * The sum of squares, in double over a fixed tree of blocks, so that it does not depend on the
   * number of threads. Not finite if and only if an element is not finite (or the sum exceeds
   * double's range).
   */
  double squaredNorm(ParameterVector vector);

  /**
   * One AdamW step on the gradient times {@code clip} (the clip coefficient, 1 for none); see
   * {@link AdamWStep}. The gradient itself is left as it is.
   */
  void adamW(
      ParameterVector weights,
      ParameterVector gradient,
      ParameterVector firstMoment,
      ParameterVector secondMoment,
      float clip,
      AdamWStep step);

  /**
   * Updates the importance from the weights and the gradient times {@code clip}; see {@link
   * ImportanceRule}.
   */
  void importance(
      ParameterVector weights,
      ParameterVector gradient,
      float clip,
      Importance importance,
      ImportanceRule rule);

  /** {@link #adamW} and then {@link #importance} with the new weights, in one pass. */
  void adamWWithImportance(
      ParameterVector weights,
      ParameterVector gradient,
      ParameterVector firstMoment,
      ParameterVector secondMoment,
      float clip,
      AdamWStep step,
      Importance importance,
      ImportanceRule rule);

  /**
   * The exact quantile of the scores of all tensors together, or of each tensor, as the result has
   * it; padding left out. As {@code torch.quantile} interpolates up to version 2.13: q in float32;
   * rank {@code r = q*(n-1)} in float32 for n up to 2^24 and in double above (later versions: in
   * double always); float32 lerp between the two neighbours.
   *
   * <p>Scores are taken to be non-negative; -0 counts as 0. The threshold is NaN, and nothing lies
   * above it, where torch's is NaN (a score is NaN, or the lerp meets infinity) and where there is
   * no element at all.
   *
   * @param quantile in [0, 1]
   * @param result gets it as {@link Bounds#low}
   */
  void threshold(Importance importance, Score score, double quantile, Threshold result);

  /**
   * The least and the greatest score of all tensors together, or of each tensor, as the result has
   * it; padding left out. Scores are taken to be non-negative. Both are NaN where a score is NaN
   * and where there is no element.
   */
  void range(Importance importance, Score score, Threshold result);

  /** Finds what a merge by that rule holds the scores of a side against: its threshold. */
  default void measure(Side side, MergeRule rule, double quantile) {
    switch (rule.weighting()) {
      case MergeRule.Masks _ ->
          threshold(side.importance(), rule.score(), quantile, side.threshold());
      case MergeRule.Soft _ -> range(side.importance(), rule.score(), side.threshold());
    }
  }

  /**
   * Merges the inner and the outer task vector into the weights and makes the result the new base,
   * in one pass; see {@link MergeRule}.
   *
   * @param weights after the outer loop; holds the merged weights afterwards
   * @param base where the cycle began; holds the merged weights afterwards
   * @param snapshot the weights after the inner loop
   * @param inner what was learned, with the threshold that {@link #measure} found
   * @param outer what was replayed, likewise; both thresholds are for all tensors, or for each
   */
  void merge(
      ParameterVector weights,
      ParameterVector base,
      ParameterVector snapshot,
      Side inner,
      Side outer,
      MergeRule rule);

  /**
   * A whole fusion: {@link #measure} for both sides, then {@link #merge}. For callers that need not
   * look at the thresholds before the merge; a device may do it in fewer steps.
   */
  default void fuse(
      ParameterVector weights,
      ParameterVector base,
      ParameterVector snapshot,
      Side inner,
      Side outer,
      double quantile,
      MergeRule rule) {
    measure(inner, rule, quantile);
    measure(outer, rule, quantile);
    merge(weights, base, snapshot, inner, outer, rule);
  }

  /**
   * How the parameters fall into the classes of a merge by {@link MergeRule.Masks} under these
   * thresholds; waits for the answer.
   */
  MaskCounts maskCounts(Side inner, Side outer, Score score);

  /**
   * {@link #maskCounts} of each tensor by itself, in the order of the layout. Waits once; a call to
   * a kernel for each tensor, about a microsecond, is little beside the updates of a cycle.
   */
  List<MaskCounts> maskCountsByTensor(Side inner, Side outer, Score score);

  /**
   * Fills a dense float32 tensor of shape [planes, rows, columns] with 0 where dropped and {@link
   * DropoutMask#keptValue()} where kept.
   */
  void dropoutMask(MemorySegment mask, long planes, long rows, long columns, DropoutMask rule);

  @Override
  void close();
}
