package io.github.recurrentkif.continual;

import io.github.recurrentkif.kernels.ImportanceRule;
import io.github.recurrentkif.kernels.ImportanceRule.Formula;
import io.github.recurrentkif.kernels.MergeRule;

/**
 * The constants of Recurrent-KIF (Feng et al., ACL 2025).
 *
 * @param cycleLength updates on new data between two fusions; Q in the paper
 * @param outerSteps updates on replayed data before each fusion
 * @param quantile of the scores above which a parameter is important: 0.8 for the top fifth
 * @param innerRule how the importance to the new task is smoothed
 * @param outerRule how the importance to the history is smoothed
 * @param merge what a parameter becomes, by whom it is important to; also which importance begins
 *     anew with each cycle
 * @param historyEstimates updates on replayed data that give the importance to the history once,
 *     before a task's first update; 0 to estimate it anew in every outer loop, as the method does
 * @param outerLoop what the updates on replayed data change
 * @param thresholdOfEachTensor whether scores are held against those of their own tensor, as unused
 *     code of the release does; else against those of all
 */
public record RecurrentKifSettings(
    int cycleLength,
    int outerSteps,
    double quantile,
    ImportanceRule innerRule,
    ImportanceRule outerRule,
    MergeRule merge,
    int historyEstimates,
    OuterLoop outerLoop,
    boolean thresholdOfEachTensor) {

  /** With one threshold for all tensors together. */
  public RecurrentKifSettings(
      int cycleLength,
      int outerSteps,
      double quantile,
      ImportanceRule innerRule,
      ImportanceRule outerRule,
      MergeRule merge,
      int historyEstimates,
      OuterLoop outerLoop) {
    this(
        cycleLength,
        outerSteps,
        quantile,
        innerRule,
        outerRule,
        merge,
        historyEstimates,
        outerLoop,
        false);
  }

  /** What the outer loop changes besides the importance to the history. */
  public enum OuterLoop {
    /** The weights, by the same optimiser and the same moments as the inner loop. */
    SHARED_OPTIMIZER,
    /**
     * Nothing. So the released LLaMA training behaves: its outer optimiser sits in a warm-up that
     * never advances, at learning rate zero.
     */
    IMPORTANCE_ONLY
  }

  public RecurrentKifSettings {
    if (cycleLength < 1 || outerSteps < 1) {
      throw new IllegalArgumentException(
          "cycle length and outer steps must be positive, got "
              + cycleLength
              + " and "
              + outerSteps);
    }
    if (historyEstimates < 0) {
      throw new IllegalArgumentException("no negative history estimates, got " + historyEstimates);
    }
    if (historyEstimates > 0 && outerLoop == OuterLoop.IMPORTANCE_ONLY) {
      throw new IllegalArgumentException(
          "with the importance to the history fixed, an outer loop for importance only is idle");
    }
    if (!(quantile >= 0 && quantile <= 1)) {
      throw new IllegalArgumentException("the quantile must lie in [0, 1], got " + quantile);
    }
  }

  /** As the method was released for T5. */
  public static RecurrentKifSettings reference() {
    ImportanceRule rule = new ImportanceRule(Formula.FIRST_ORDER, 0.85, 0.85);
    return new RecurrentKifSettings(
        8, 4, 0.8, rule, rule, MergeRule.reference(), 0, OuterLoop.SHARED_OPTIMIZER);
  }

  /** As the method was released for LLaMA. */
  public static RecurrentKifSettings referenceLlama() {
    return reference().with(OuterLoop.IMPORTANCE_ONLY);
  }

  /**
   * As the paper states it: smoothing of 0.55, importance without uncertainty, task vectors added
   * where important and pruned elsewhere.
   */
  public static RecurrentKifSettings paper() {
    // The paper's score does not read the uncertainty: its smoothing is without effect.
    ImportanceRule rule = new ImportanceRule(Formula.FIRST_ORDER, 0.55, 0.55);
    return new RecurrentKifSettings(
        8, 4, 0.8, rule, rule, MergeRule.paper(), 0, OuterLoop.SHARED_OPTIMIZER);
  }

  private RecurrentKifSettings with(OuterLoop other) {
    return new RecurrentKifSettings(
        cycleLength, outerSteps, quantile, innerRule, outerRule, merge, historyEstimates, other);
  }
}
