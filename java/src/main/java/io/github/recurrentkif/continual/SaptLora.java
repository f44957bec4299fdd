package io.github.recurrentkif.continual;

import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.kernels.RandomKey;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.model.TaskAttentionConfig;
import io.github.recurrentkif.training.AttentionAlignment;
import io.github.recurrentkif.training.Learner;
import io.github.recurrentkif.training.Outcome;
import io.github.recurrentkif.training.Update;
import java.lang.foreign.MemorySegment;
import java.util.LinkedHashMap;
import java.util.SequencedMap;

/**
 * An adapter and a key for each task, and one attention over the keys that weighs the adapters for
 * every text, while a task is learned and when questions are asked (SAPT; Zhao et al., ACL 2024).
 * Adapters and keys of earlier tasks stay as they are; the query is learned on, and on texts of the
 * memory it is held to what it paid attention to before the task.
 */
public final class SaptLora<B> implements ContinualMethod<B> {

  private final StackedAdapters adapters;
  private final AttentionAlignment<B> alignment;
  private final double weight;
  private final RandomKey key;
  private final ParameterVector before;

  /**
   * @param layout of the adapters of all tasks and the attention over them
   * @param weight of the loss that holds the attention
   * @param key of the tasks' keys
   */
  public SaptLora(
      int tasks,
      ParameterLayout layout,
      Kernels kernels,
      AttentionAlignment<B> alignment,
      double weight,
      RandomKey key) {
    this.adapters = new StackedAdapters(tasks, layout, kernels);
    this.alignment = alignment;
    this.weight = weight;
    this.key = key;
    this.before = new ParameterVector(layout, kernels.device());
  }

  @Override
  public MemoryUse memoryUse() {
    return MemoryUse.REPLAYED;
  }

  @Override
  public void beginTask(int task, Learner<B> learner) {
    learner.newTask();
    learner.kernels().copy(learner.weights(), before);
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
          if (plan.hasMemory() && weight > 0) {
            hold(plan.outer(completed, 0), gradient);
          }
          adapters.keepOwn(plan.task(), gradient, learner.kernels());
        });
  }

  /** Texts alone are needed of the memory: nothing goes through the model. */
  private void hold(Update<B> memory, ParameterVector gradient) {
    int batches = memory.microBatches().size();
    memory
        .microBatches()
        .forEach(batch -> alignment.addGradient(batch, before, weight / batches, gradient));
  }

  @Override
  public SequencedMap<String, ParameterVector> vectors() {
    SequencedMap<String, ParameterVector> vectors = new LinkedHashMap<>();
    vectors.put("before", before);
    return vectors;
  }

  @Override
  public void close() {
    adapters.close();
    before.close();
  }
}
