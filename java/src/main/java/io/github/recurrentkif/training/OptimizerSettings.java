package io.github.recurrentkif.training;

/**
 * The constants of every update: AdamW's, and the length to which a gradient is clipped.
 *
 * @param beta1 decay of the first moment, in [0, 1)
 * @param beta2 decay of the second moment, in [0, 1)
 * @param epsilon added to the root of the second moment
 * @param weightDecay decoupled, as a share of the learning rate
 * @param maxGradientNorm the largest length of a gradient over all parameters together; {@link
 *     Float#POSITIVE_INFINITY} for no clipping
 */
public record OptimizerSettings(
    double beta1, double beta2, double epsilon, double weightDecay, float maxGradientNorm) {

  public OptimizerSettings {
    if (!(beta1 >= 0 && beta1 < 1) || !(beta2 >= 0 && beta2 < 1)) {
      throw new IllegalArgumentException(
          "AdamW's betas must lie in [0, 1), got " + beta1 + " and " + beta2);
    }
    if (!(epsilon >= 0) || !(weightDecay >= 0)) {
      throw new IllegalArgumentException(
          "epsilon and weight decay must not be negative, got " + epsilon + " and " + weightDecay);
    }
    if (!(maxGradientNorm > 0)) {
      throw new IllegalArgumentException(
          "the largest gradient norm must be positive, got " + maxGradientNorm);
    }
  }

  /** As the method was released: 0.9, 0.999, 1e-8, no decay, clipped to length 1. */
  public static OptimizerSettings reference() {
    return new OptimizerSettings(0.9, 0.999, 1e-8, 0, 1);
  }

  /** As released, but for the two constants that a user may set. */
  public static OptimizerSettings reference(double weightDecay, double maxGradientNorm) {
    OptimizerSettings released = reference();
    return new OptimizerSettings(
        released.beta1, released.beta2, released.epsilon, weightDecay, (float) maxGradientNorm);
  }

  /**
   * The factor that brings a gradient of this length to {@link #maxGradientNorm} at most, in
   * float32 and in the order of {@code torch.nn.utils.clip_grad_norm_}: torch divides a number by a
   * tensor as reciprocal times number.
   */
  float clip(float gradientNorm) {
    return Math.min(1f, 1f / (gradientNorm + 1e-6f) * maxGradientNorm);
  }
}
