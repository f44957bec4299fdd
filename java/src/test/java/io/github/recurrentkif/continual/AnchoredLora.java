package io.github.recurrentkif.continual;

import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.training.Learner;
import io.github.recurrentkif.training.Outcome;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SequencedMap;

/** Holds on to where a task began: its loss grows by {@code strength/2 * |w - anchor|^2}. */
final class AnchoredLora<B> implements ContinualMethod<B> {
  private final float strength;
  private final ParameterVector anchor;

  AnchoredLora(float strength, ParameterLayout layout, Kernels kernels) {
    this.strength = strength;
    this.anchor = new ParameterVector(layout, kernels.device());
  }

  @Override
  public void beginTask(int task, Learner<B> learner) {
    learner.newTask();
    learner.kernels().copy(learner.weights(), anchor);
  }

  @Override
  public Outcome update(TaskPlan<B> plan, long completed, Learner<B> learner) {
    return learner.update(
        plan.inner(completed),
        gradient -> {
          learner.kernels().accumulate(gradient, learner.weights(), strength);
          learner.kernels().accumulate(gradient, anchor, -strength);
        });
  }

  @Override
  public SequencedMap<String, ParameterVector> vectors() {
    return new LinkedHashMap<>(Map.of("anchor", anchor));
  }

  @Override
  public void close() {
    anchor.close();
  }
}
