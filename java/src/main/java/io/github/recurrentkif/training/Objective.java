package io.github.recurrentkif.training;

import io.github.recurrentkif.kernels.RandomKey;
import io.github.recurrentkif.memory.ParameterVector;

/**
 * A loss and its gradient, at the weights the objective was built over.
 *
 * @param <B> what one forward and backward pass reads: a micro-batch
 */
public interface Objective<B> extends AutoCloseable {

  /**
   * Overwrites {@code gradient} with the gradient of the batch's loss with respect to every weight.
   *
   * @param randomness the key of this pass's dropouts
   * @return the loss: for text, the mean cross-entropy over the labelled tokens of the batch
   */
  double gradient(B batch, RandomKey randomness, ParameterVector gradient);

  @Override
  void close();
}
