package io.github.recurrentkif.training;

import io.github.recurrentkif.memory.ParameterVector;

/**
 * How far an attention over tasks has moved on the texts of some samples.
 *
 * @param <B> a micro-batch
 */
@FunctionalInterface
public interface AttentionAlignment<B> {

  /**
   * Adds the gradient of {@code weight * mean over the batch's texts of KL(attention before ||
   * attention now)} with respect to the attention's parameters.
   *
   * @param before weights as they were; those now are the model's
   */
  void addGradient(B batch, ParameterVector before, double weight, ParameterVector gradient);
}
