package io.github.recurrentkif.training;

import java.util.List;

/**
 * What one update did.
 *
 * @param losses of each micro-batch, before the update's scale
 * @param gradientNorm of the summed gradient, before clipping
 * @param learningRate of the step
 * @param refused whether the norm was not finite and the update therefore changed nothing
 */
public record Outcome(
    List<Double> losses, float gradientNorm, double learningRate, boolean refused) {

  public Outcome {
    losses = List.copyOf(losses);
  }

  public double meanLoss() {
    return losses.stream().mapToDouble(Double::doubleValue).average().orElseThrow();
  }
}
