package io.github.recurrentkif.continual;

import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.training.Learner;
import io.github.recurrentkif.training.Outcome;

/**
 * A new adapter for each task on top of those before, which stay as they are; the model answers
 * with the sum of all (IncLoRA in the tables of the field).
 */
public final class IncrementalLora<B> implements ContinualMethod<B> {

  private final StackedAdapters adapters;

  /**
   * @param tasks of the stream
   * @param layout of an adapter with a rank for every task
   */
  public IncrementalLora(int tasks, ParameterLayout layout, Kernels kernels) {
    this.adapters = new StackedAdapters(tasks, layout, kernels);
  }

  @Override
  public Outcome update(TaskPlan<B> plan, long completed, Learner<B> learner) {
    return learner.update(
        plan.inner(completed),
        gradient -> adapters.keepOwn(plan.task(), gradient, learner.kernels()));
  }

  @Override
  public void close() {
    adapters.close();
  }
}
