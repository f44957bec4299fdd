package io.github.recurrentkif.fusion;

import io.github.recurrentkif.kernels.MergeRule.Weighting;
import java.util.List;

/** How models become one. */
public sealed interface FusionRule {

  /** What of each task vector takes part. */
  enum Sparsity {
    EVERY,
    /** The largest by magnitude, tensor by tensor. */
    LARGE,
    /** Drawn at random, and rescaled. */
    RANDOM
  }

  /**
   * Any number of models, each with a weight; see {@link
   * io.github.recurrentkif.kernels.Combination} for the formula.
   *
   * @param density the share of each tensor's elements that takes part, in (0, 1]; of no meaning
   *     with {@link Sparsity#EVERY}
   * @param seed what {@link Sparsity#RANDOM} is drawn with
   */
  record Combine(
      boolean taskVectors,
      Sparsity sparsity,
      double density,
      boolean consensus,
      boolean normalised,
      double scale,
      long seed,
      List<Double> weights)
      implements FusionRule {

    public Combine {
      weights = List.copyOf(weights);
    }
  }

  /** Which scores a threshold is a quantile of, or a range that of. */
  enum Scope {
    /** Those of all tensors together. */
    GLOBAL,
    /** Those of each tensor for itself. */
    TENSOR
  }

  /**
   * What was learned anew (the first model) and what was learned before (the second), merged by
   * importance as Recurrent-KIF does.
   *
   * @param quantile in [0, 1]: scores above it are important; of no meaning with soft weights
   * @param weighting how scores choose the factors of both task vectors
   * @param importances of the first and of the second model; empty: how far each weight has moved
   *     from the base
   */
  record ByImportance(
      double quantile, Scope scope, Weighting weighting, List<ImportanceFiles> importances)
      implements FusionRule {

    public ByImportance {
      importances = List.copyOf(importances);
      if (!importances.isEmpty() && importances.size() != 2) {
        throw new IllegalArgumentException("importances of both models, or of neither");
      }
    }
  }

  /**
   * Tensors of importances, named and shaped as the weights: one file that holds the score, or two
   * whose product it is (sensitivity and uncertainty).
   */
  record ImportanceFiles(List<StoredModel> files) {

    public ImportanceFiles {
      files = List.copyOf(files);
      if (files.isEmpty() || files.size() > 2) {
        throw new IllegalArgumentException("one file of importances, or two");
      }
    }
  }
}
