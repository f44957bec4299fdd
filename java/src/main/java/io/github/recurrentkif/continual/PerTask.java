package io.github.recurrentkif.continual;

import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.training.Learner;
import java.util.LinkedHashMap;
import java.util.SequencedMap;
import java.util.stream.IntStream;

/**
 * A fresh adapter for each task, and every question answered by the adapter of its task: nothing
 * can be forgotten and nothing is shared, but at inference somebody has to say which task a
 * question belongs to. The questions of a task that was not learned yet go to the backbone.
 */
public final class PerTask<B> implements ContinualMethod<B> {

  private final FreshAdapter fresh;
  private final ParameterVector[] adapters;

  /**
   * @param tasks of the stream
   */
  public PerTask(int tasks, FreshAdapter fresh, ParameterLayout layout, Kernels kernels) {
    this.fresh = fresh;
    this.adapters =
        IntStream.range(0, tasks)
            .mapToObj(_ -> new ParameterVector(layout, kernels.device()))
            .toArray(ParameterVector[]::new);
  }

  @Override
  public void beginTask(int task, Learner<B> learner) {
    learner.newTask();
    fresh.write(task, learner.weights());
  }

  @Override
  public void endTask(TaskPlan<B> plan, Learner<B> learner) {
    learner.kernels().copy(learner.weights(), adapters[plan.task()]);
  }

  @Override
  public void beforeQuestions(int task, Learner<B> learner) {
    learner.kernels().copy(adapters[task], learner.weights());
  }

  @Override
  public SequencedMap<String, ParameterVector> vectors() {
    SequencedMap<String, ParameterVector> vectors = new LinkedHashMap<>();
    for (int task = 0; task < adapters.length; task++) {
      vectors.put("adapter." + task, adapters[task]);
    }
    return vectors;
  }

  @Override
  public void close() {
    for (ParameterVector adapter : adapters) {
      adapter.close();
    }
  }
}
