package io.github.recurrentkif.continual;

import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.training.Learner;
import io.github.recurrentkif.training.Outcome;
import io.github.recurrentkif.training.Retention;
import java.util.SequencedMap;

/**
 * One soft prompt for all tasks (Qin and Joty, ICLR 2022), trained on each task's samples together
 * with the memory, and held to the answers that it gave to the memory before the task.
 */
public final class Lfpt5<B> implements ContinualMethod<B> {

  private final Held<B> held;

  /**
   * @param retention of the answers
   * @param weight of the loss that holds them
   */
  public Lfpt5(Retention<B> retention, double weight, ParameterLayout layout, Kernels kernels) {
    this.held = new Held<>(retention, weight, layout, kernels);
  }

  @Override
  public MemoryUse memoryUse() {
    return MemoryUse.MIXED_AND_REPLAYED;
  }

  @Override
  public void beginTask(int task, Learner<B> learner) {
    learner.newTask();
    held.begin(learner);
  }

  @Override
  public Outcome update(TaskPlan<B> plan, long completed, Learner<B> learner) {
    return learner.update(plan.inner(completed), gradient -> held.add(plan, completed, gradient));
  }

  @Override
  public SequencedMap<String, ParameterVector> vectors() {
    return held.vectors();
  }

  @Override
  public void close() {
    held.close();
  }
}
