package io.github.recurrentkif.kernels;

import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * The operations of fusing stored weights, a run of elements at a time: what a model of any size is
 * streamed through.
 *
 * <p>Stored elements are widened to float32 exactly; every operation is rounded to float32, in the
 * order of the formulas; results are rounded to their type, to the nearest even. All
 * implementations give the same bits. Calls may run side by side; the runs of a call have the same
 * number of elements and may not overlap.
 */
public interface FusionKernels {

  /** Models that one {@link #combine} can take. */
  int MAXIMUM_MODELS = 64;

  /** Counts of {@link #histogram}; int32, read as unsigned. */
  int HISTOGRAM_SIZE = 1 << 16;

  /** For people: which code runs. */
  String description();

  /**
   * Counts the scores by their upper 16 magnitude bits: adds to {@code counts[bits >>> 15]}, with
   * the bits of a float32 without its sign. They order as the scores do, NaN behind infinity.
   */
  void histogram(StoredScore score, MemorySegment counts);

  /**
   * Of the scores whose upper 16 magnitude bits are the prefix, counts the lower 15: adds to {@code
   * counts[bits & 0x7fff]}.
   */
  void histogramBelow(StoredScore score, int prefix, MemorySegment counts);

  /** The least and the greatest of the scores and of what was found before; NaN if one is NaN. */
  Bounds range(StoredScore score, Bounds before);

  /**
   * @param out written, in its type
   * @param base read if the combination is one of task vectors
   * @param weights one for each model
   * @param thresholds one for each model, read if the sparsity is {@link
   *     Combination.Sparsity.Large}
   * @param first the number of the first element in its tensor
   * @return how many results are infinite or no number
   */
  long combine(
      StoredWeights out,
      StoredWeights base,
      List<StoredWeights> models,
      float[] weights,
      float[] thresholds,
      Combination combination,
      long first);

  /**
   * Merges what was learned anew and what was learned before, over one base: {@code out = base +
   * (a*(learned-base) + b*(kept-base))}, with (a, b) chosen by the scores as {@link MergeRule}
   * says.
   *
   * @param learnedBounds what the scores of the learned model are held against: a threshold, or
   *     their range
   * @return how many results are infinite or no number
   */
  long merge(
      StoredWeights out,
      StoredWeights base,
      StoredWeights learned,
      StoredWeights kept,
      StoredScore learnedScore,
      StoredScore keptScore,
      Bounds learnedBounds,
      Bounds keptBounds,
      MergeRule.Weighting weighting);
}
