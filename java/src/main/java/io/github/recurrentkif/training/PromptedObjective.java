package io.github.recurrentkif.training;

import io.github.recurrentkif.data.Batch;
import io.github.recurrentkif.kernels.RandomKey;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.model.PromptPoolConfig;
import java.util.List;

/**
 * An objective of texts with prompts of a pool before them. Its gradient is also that of the loss
 * that draws the chosen keys to the texts; the losses that it tells are without it.
 */
final class PromptedObjective implements Objective<Batch> {

  private final Objective<Batch> objective;
  private final PromptPool pool;

  /**
   * @param objective of the texts as they then are; closed by whoever made it
   */
  PromptedObjective(Objective<Batch> objective, PromptPool pool) {
    this.objective = objective;
    this.pool = pool;
  }

  @Override
  public double gradient(Batch batch, RandomKey randomness, ParameterVector gradient) {
    PromptPool.Choice choice = pool.choice();
    double loss = objective.gradient(choice.prompted(batch), randomness, gradient);
    gradient.upload(PromptPoolConfig.KEYS, choice.keyGradient(List.of(batch), 1));
    return loss;
  }

  @Override
  public List<Double> gradient(Update<Batch> update, GradientSum sum) {
    PromptPool.Choice choice = pool.choice();
    List<Batch> batches = update.microBatches();
    List<Double> losses =
        objective.gradient(
            new Update<>(
                batches.stream().map(choice::prompted).toList(),
                update.scale(),
                update.learningRate(),
                update.randomness()),
            sum);
    sum.total().upload(PromptPoolConfig.KEYS, choice.keyGradient(batches, update.scale()));
    return losses;
  }

  @Override
  public void close() {}
}
