package io.github.recurrentkif.continual;

import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.training.Learner;
import java.util.Map;
import java.util.SequencedMap;

/**
 * Experience replay: one adapter, trained on each task's samples together with those kept from the
 * tasks before, shuffled. It differs from {@link SequentialLora} only in what the plan is made of.
 */
public final class LoraReplay<B> implements ContinualMethod<B> {

  private final SequentialLora<B> sequential = new SequentialLora<>();

  @Override
  public MemoryUse memoryUse() {
    return MemoryUse.MIXED;
  }

  @Override
  public void beginTask(Learner<B> learner) {
    sequential.beginTask(learner);
  }

  @Override
  public long learn(TaskPlan<B> plan, long completed, Learner<B> learner, Observer observer) {
    return sequential.learn(plan, completed, learner, observer);
  }

  @Override
  public SequencedMap<String, ParameterVector> vectors() {
    return sequential.vectors();
  }

  @Override
  public SequencedMap<String, Long> counters() {
    return sequential.counters();
  }

  @Override
  public void restore(Map<String, Long> counters) {
    sequential.restore(counters);
  }

  @Override
  public void close() {
    sequential.close();
  }
}
