package io.github.recurrentkif.continual;

import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.training.Learner;
import io.github.recurrentkif.training.Retention;
import io.github.recurrentkif.training.Update;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SequencedMap;

/** Holds a model, on samples of the memory, to what it did before a task. */
final class Held<B> implements AutoCloseable {

  private final Retention<B> retention;
  private final double weight;
  private final ParameterVector before;

  /**
   * @param weight of the loss that holds; 0 for none
   */
  Held(Retention<B> retention, double weight, ParameterLayout layout, Kernels kernels) {
    this.retention = retention;
    this.weight = weight;
    this.before = new ParameterVector(layout, kernels.device());
  }

  /** What the model does now is what it is held to. */
  void begin(Learner<B> learner) {
    learner.kernels().copy(learner.weights(), before);
  }

  /** Adds the gradient of what holds, on the plan's memory, to that of an update. */
  void add(TaskPlan<B> plan, long completed, ParameterVector gradient) {
    if (weight == 0 || !plan.hasMemory()) {
      return;
    }
    Update<B> memory = plan.outer(completed, 0);
    int batches = memory.microBatches().size();
    for (int i = 0; i < batches; i++) {
      retention.addGradient(
          memory.microBatches().get(i),
          memory.randomness().at(i),
          before,
          weight / batches,
          gradient);
    }
  }

  /** The weights before the task. */
  SequencedMap<String, ParameterVector> vectors() {
    return new LinkedHashMap<>(Map.of("before", before));
  }

  @Override
  public void close() {
    before.close();
  }
}
