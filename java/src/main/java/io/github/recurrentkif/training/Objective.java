package io.github.recurrentkif.training;

import io.github.recurrentkif.kernels.RandomKey;
import io.github.recurrentkif.memory.ParameterVector;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A loss and its gradient, at the weights the objective was built over.
 *
 * @param <B> what a mean is taken over: a micro-batch
 */
public interface Objective<B> extends AutoCloseable {

  /**
   * Overwrites {@code gradient} with the gradient of the batch's loss with respect to every weight.
   *
   * @param randomness the key of this pass's dropouts
   * @return the loss: for text, the mean cross-entropy over the labelled tokens of the batch
   */
  double gradient(B batch, RandomKey randomness, ParameterVector gradient);

  /**
   * The gradient of a whole update: the sum of its micro-batches' gradients, each times the
   * update's scale. One pass for each micro-batch, unless an objective knows better.
   *
   * @param sum overwritten
   * @return the losses of the micro-batches, not scaled
   */
  default List<Double> gradient(Update<B> update, GradientSum sum) {
    List<B> batches = update.microBatches();
    sum.begin(batches.size(), update.scale());
    List<Double> losses = new ArrayList<>(batches.size());
    for (B batch : batches) {
      losses.add(gradient(batch, update.randomness().at(losses.size()), sum.part()));
      sum.add(update.scale());
    }
    return losses;
  }

  /**
   * How large the outputs of the adapter's matrices were in the last gradient: for each matrix, one
   * number for each of its rows, the sum of the output's absolute values over the tokens.
   *
   * @return null where nobody asked for an observed adapter
   */
  default @Nullable ParameterVector magnitudes() {
    return null;
  }

  @Override
  void close();
}
