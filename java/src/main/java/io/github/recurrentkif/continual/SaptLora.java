package io.github.recurrentkif.continual;

import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.kernels.RandomKey;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.model.TaskAttentionConfig;
import io.github.recurrentkif.training.Learner;
import io.github.recurrentkif.training.Outcome;
import io.github.recurrentkif.training.Retention;
import java.lang.foreign.MemorySegment;
import java.util.SequencedMap;

/**
 * An adapter and a key for each task, and one attention over the keys that weighs the adapters for
 * every text, while a task is learned and when questions are asked (SAPT; Zhao et al., ACL 2024).
 * Adapters and keys of earlier tasks stay as they are; the query is learned on, and on texts of the
 * memory it is held to what it paid attention to before the task.
 */
public final class SaptLora<B> implements ContinualMethod<B> {

  private final StackedAdapters adapters;
  private final Held<B> held;
  private final RandomKey key;

  /**
   * @param layout of the adapters of all tasks and the attention over them
   * @param retention of that attention
   * @param weight of the loss that holds it
   * @param key of the tasks' keys
   */
  public SaptLora(
      int tasks,
      ParameterLayout layout,
      Kernels kernels,
      Retention<B> retention,
      double weight,
      RandomKey key) {
    this.adapters = new StackedAdapters(tasks, layout, kernels);
    this.held = new Held<>(retention, weight, layout, kernels);
    this.key = key;
  }

  @Override
  public MemoryUse memoryUse() {
    return MemoryUse.REPLAYED;
  }

  @Override
  public void beginTask(int task, Learner<B> learner) {
    learner.newTask();
    held.begin(learner);
    ParameterVector weights = learner.weights();
    float[] keys = weights.download(TaskAttentionConfig.KEYS);
    int width =
        Math.toIntExact(weights.layout().tensor(TaskAttentionConfig.KEYS).shape().dimension(1));
    for (int j = 0; j < width; j++) {
      keys[task * width + j] = (float) (2 * key.at(task).at(j).uniform() - 1);
    }
    weights.upload(TaskAttentionConfig.KEYS, MemorySegment.ofArray(keys));
  }

  @Override
  public Outcome update(TaskPlan<B> plan, long completed, Learner<B> learner) {
    return learner.update(
        plan.inner(completed),
        gradient -> {
          held.add(plan, completed, gradient);
          adapters.keepOwn(plan.task(), gradient, learner.kernels());
        });
  }

  @Override
  public SequencedMap<String, ParameterVector> vectors() {
    return held.vectors();
  }

  @Override
  public void close() {
    adapters.close();
    held.close();
  }
}
