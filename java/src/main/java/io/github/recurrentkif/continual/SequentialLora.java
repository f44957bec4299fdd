package io.github.recurrentkif.continual;

import io.github.recurrentkif.continual.LearningEvent.AfterInner;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.training.Learner;
import io.github.recurrentkif.training.Resumable;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SequencedMap;

/**
 * The lower bound: one adapter, trained on task after task, and nothing against forgetting. Each
 * task begins with a new optimiser.
 */
public final class SequentialLora<B> implements ContinualMethod<B> {

  @Override
  public MemoryUse memoryUse() {
    return MemoryUse.NONE;
  }

  @Override
  public void beginTask(Learner<B> learner) {
    learner.newTask();
  }

  @Override
  public long learn(TaskPlan<B> plan, long completed, Learner<B> learner, Observer observer) {
    long done = completed;
    while (done < plan.updates()) {
      var outcome = learner.update(plan.inner(done));
      done++;
      observer.on(new AfterInner(done, outcome));
      if (observer.stopsAfter(done)) {
        break;
      }
    }
    return done;
  }

  /** None: the learner's state is all there is. */
  @Override
  public SequencedMap<String, ParameterVector> vectors() {
    return new LinkedHashMap<>();
  }

  @Override
  public SequencedMap<String, Long> counters() {
    return new LinkedHashMap<>();
  }

  @Override
  public void restore(Map<String, Long> counters) {
    Resumable.requireNames(this, counters);
  }

  @Override
  public void close() {}
}
