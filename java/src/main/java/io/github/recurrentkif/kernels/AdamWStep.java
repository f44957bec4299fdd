package io.github.recurrentkif.kernels;

/**
 * The scalars of one AdamW step, derived as {@code torch.optim.AdamW} does: in double, then rounded
 * once.
 *
 * <p>The kernel computes, for a gradient g already scaled by the clip coefficient: {@code w =
 * w*decay; m = m + gain1*(g-m); v = v*beta2 + gain2*(g*g); w = w - stepSize*(m /
 * (sqrt(v)/correction2 + epsilon))}.
 *
 * @param epsilon positive in float32, for a parameter that never had a gradient (as padding) would
 *     otherwise move by 0/0
 * @param step how many steps have been taken with these moments, this one included: 1 for the first
 */
public record AdamWStep(
    double learningRate,
    double beta1,
    double beta2,
    double epsilon,
    double weightDecay,
    long step) {

  public AdamWStep {
    if (!(beta1 >= 0 && beta1 < 1) || !(beta2 >= 0 && beta2 < 1)) {
      throw new IllegalArgumentException("AdamW betas must lie in [0, 1): " + beta1 + ", " + beta2);
    }
    if (!((float) epsilon > 0)) {
      throw new IllegalArgumentException(
          "AdamW's epsilon must be positive in float32, got " + epsilon);
    }
    if (step < 1) {
      throw new IllegalArgumentException("AdamW counts its steps from 1, got " + step);
    }
  }

  /** {@code 1 - learningRate*weightDecay}. */
  public float decay() {
    return (float) (1 - learningRate * weightDecay);
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

  /** {@code learningRate / (1 - beta1^step)}. */
  public float stepSize() {
    return (float) (learningRate / (1 - Math.pow(beta1, (double) step)));
  }

  /** {@code sqrt(1 - beta2^step)}. */
  public float correction2() {
    return (float) Math.sqrt(1 - Math.pow(beta2, (double) step));
  }

  public float roundedEpsilon() {
    return (float) epsilon;
  }
}
