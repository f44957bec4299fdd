package io.github.recurrentkif.training;

import io.github.recurrentkif.kernels.RandomKey;
import java.util.List;

/**
 * What one step of the optimiser is made of.
 *
 * @param microBatches whose gradients are summed, in this order; not empty
 * @param scale factor of every micro-batch's loss: one over their number for the mean
 * @param learningRate of this step
 * @param randomness the key below which each micro-batch draws its dropouts: micro-batch i under
 *     {@code randomness.at(i)}
 */
public record Update<B>(
    List<B> microBatches, float scale, double learningRate, RandomKey randomness) {

  public Update {
    microBatches = List.copyOf(microBatches);
    if (microBatches.isEmpty()) {
      throw new IllegalArgumentException("an update needs at least one micro-batch");
    }
  }
}
