package io.github.recurrentkif.training;

import io.github.recurrentkif.data.Batch;
import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.kernels.RandomKey;
import io.github.recurrentkif.memory.ParameterVector;

/**
 * Holds the answers of a pool of prompts to those that it gave before, token by token of what was
 * to be answered, in one pass of a graph that computes both.
 */
final class HeldAnswers implements Retention<Batch>, AutoCloseable {

  private final PaddedObjective divergence;
  private final PromptPool pool;
  private final Kernels kernels;
  private final ParameterVector held;
  private final ParameterVector part;

  /**
   * @param divergence reads the vectors before from {@code held}; closed with this
   */
  HeldAnswers(PaddedObjective divergence, PromptPool pool, ParameterVector held, Kernels kernels) {
    this.divergence = divergence;
    this.pool = pool;
    this.kernels = kernels;
    this.held = held;
    this.part = new ParameterVector(held.layout(), held.device());
  }

  @Override
  public void addGradient(
      Batch batch,
      RandomKey randomness,
      ParameterVector before,
      double weight,
      ParameterVector gradient) {
    kernels.copy(before, held);
    divergence.gradient(pool.choice().prompted(batch), randomness, part);
    kernels.accumulate(gradient, part, (float) weight);
  }

  @Override
  public void close() {
    divergence.close();
    held.close();
    part.close();
  }
}
