package io.github.recurrentkif.kernels;

/**
 * How an update changes an importance: {@code s = formula(w, g); I = beta1*I + (1-beta1)*s; U =
 * beta2*U + (1-beta2)*|s - I|} with the new I. Complements are formed in double and then rounded,
 * as torch does with Python scalars.
 */
public record ImportanceRule(Formula formula, double beta1, double beta2) {

  /** The Taylor approximation of what zeroing a parameter would do to the loss. */
  public enum Formula {
    /** {@code |w*g|}. */
    FIRST_ORDER,
    /** {@code |(w*g)*(w*g)|}. */
    SECOND_ORDER,
    /** {@code |w*g - 0.5*((w*g)*(w*g))|}. */
    MIXED
  }

  public ImportanceRule {
    if (!(beta1 >= 0 && beta1 < 1) || !(beta2 >= 0 && beta2 < 1)) {
      throw new IllegalArgumentException(
          "importance betas must lie in [0, 1): " + beta1 + ", " + beta2);
    }
  }

  public float decay1() {
    return (float) beta1;
  }

  public float gain1() {
    return (float) (1 - beta1);
  }

  public float decay2() {
    return (float) beta2;
  }

  public float gain2() {
    return (float) (1 - beta2);
  }
}
