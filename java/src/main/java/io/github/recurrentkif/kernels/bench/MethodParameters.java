package io.github.recurrentkif.kernels.bench;

import io.github.recurrentkif.kernels.AdamWStep;
import io.github.recurrentkif.kernels.ImportanceRule;
import io.github.recurrentkif.kernels.ImportanceRule.Formula;
import io.github.recurrentkif.kernels.MergeRule;
import io.github.recurrentkif.kernels.Score;

/** What all contestants compute with: the settings of the method's released code. */
public final class MethodParameters {

  public static final float CLIP = 0.5f;
  public static final double QUANTILE = 0.8;
  public static final Score SCORE = Score.SENSITIVITY_TIMES_UNCERTAINTY;
  public static final ImportanceRule IMPORTANCE =
      new ImportanceRule(Formula.FIRST_ORDER, 0.85, 0.85);
  public static final AdamWStep ADAMW = new AdamWStep(3e-4, 0.9, 0.999, 1e-8, 0.01, 100);
  public static final MergeRule MERGE = MergeRule.reference().withResets(false, false);

  private MethodParameters() {}
}
