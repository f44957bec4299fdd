package io.github.recurrentkif.kernels;

/**
 * How two task vectors become one: for each parameter {@code w = base + (a*(snapshot-base) +
 * b*(w-snapshot))}, with (a, b) chosen by whether the parameter is important to the new task (its
 * inner score lies above the inner threshold), to the history (outer), to both, or to neither.
 *
 * @param score what is compared with the thresholds
 * @param shared important to both
 * @param newOnly important to the new task only
 * @param oldOnly important to the history only
 * @param redundant important to neither
 * @param resetInner whether the inner importance is set to zero in the same pass
 * @param resetOuter whether the outer importance is set to zero in the same pass
 */
public record MergeRule(
    Score score,
    Coefficients shared,
    Coefficients newOnly,
    Coefficients oldOnly,
    Coefficients redundant,
    boolean resetInner,
    boolean resetOuter) {

  /** Factors of the inner and the outer task vector. */
  public record Coefficients(float inner, float outer) {}

  /**
   * As the method's released code merges: average where important to both (0.4, 0.6) or neither
   * (0.5, 0.5).
   */
  public static MergeRule reference() {
    return new MergeRule(
        Score.SENSITIVITY_TIMES_UNCERTAINTY,
        new Coefficients(0.4f, 0.6f),
        new Coefficients(1, 0),
        new Coefficients(0, 1),
        new Coefficients(0.5f, 0.5f),
        true,
        false);
  }

  /** As the paper's formula merges: the sum where important, nothing where redundant. */
  public static MergeRule paper() {
    return new MergeRule(
        Score.SENSITIVITY,
        new Coefficients(1, 1),
        new Coefficients(1, 0),
        new Coefficients(0, 1),
        new Coefficients(0, 0),
        true,
        false);
  }
}
