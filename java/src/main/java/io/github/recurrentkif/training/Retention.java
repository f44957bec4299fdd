package io.github.recurrentkif.training;

import io.github.recurrentkif.kernels.RandomKey;
import io.github.recurrentkif.memory.ParameterVector;

/**
 * What holds a model to what it did before: on the texts of some samples, how far a distribution
 * has moved, of the tasks that are paid attention to or of the tokens of the answers.
 *
 * @param <B> a micro-batch
 */
@FunctionalInterface
public interface Retention<B> {

  /**
   * Adds the gradient of {@code weight * mean of KL(before || now)} with respect to the weights.
   *
   * @param randomness the key of the dropouts of what is done now
   * @param before weights as they were; those now are the model's
   */
  void addGradient(
      B batch,
      RandomKey randomness,
      ParameterVector before,
      double weight,
      ParameterVector gradient);
}
