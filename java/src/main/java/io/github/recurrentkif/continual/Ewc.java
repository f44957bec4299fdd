package io.github.recurrentkif.continual;

import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.training.Learner;
import io.github.recurrentkif.training.Outcome;
import java.util.LinkedHashMap;
import java.util.SequencedMap;

/**
 * Elastic weight consolidation (Kirkpatrick et al., PNAS 2017), on the weights of the adapter: the
 * loss of a later task grows by {@code lambda/2 * sum F*(w - anchor)^2}, where the anchor is what
 * the tasks before left behind and F the diagonal of the Fisher information, the mean over samples
 * of the squared gradient.
 *
 * <p>One anchor and one F for all past tasks, as in online EWC (Schwarz et al., ICML 2018): {@code
 * F = decay*F + F of the task}.
 */
public final class Ewc<B> implements ContinualMethod<B> {

  /**
   * The constants of the method.
   *
   * @param lambda strength of the penalty
   * @param decay of the Fisher information of earlier tasks, with each task; 1 keeps all of it
   * @param samples of a task that its Fisher information is estimated from, the first ones; 0 for
   *     all
   */
  public record Settings(double lambda, double decay, int samples) {}

  private final Settings settings;
  private final ParameterVector fisher;
  private final ParameterVector anchor;
  private final ParameterVector scratch;

  public Ewc(Settings settings, ParameterLayout layout, Kernels kernels) {
    this.settings = settings;
    this.fisher = new ParameterVector(layout, kernels.device());
    this.anchor = new ParameterVector(layout, kernels.device());
    this.scratch = new ParameterVector(layout, kernels.device());
  }

  /** In the first task F is zero, and so is the penalty. */
  @Override
  public Outcome update(TaskPlan<B> plan, long completed, Learner<B> learner) {
    return learner.update(plan.inner(completed), gradient -> addPenalty(learner, gradient));
  }

  /** {@code gradient += lambda * F*(w - anchor)}. */
  private void addPenalty(Learner<B> learner, ParameterVector gradient) {
    Kernels kernels = learner.kernels();
    kernels.copy(learner.weights(), scratch);
    kernels.accumulate(scratch, anchor, -1);
    kernels.accumulateProduct(gradient, fisher, scratch, (float) settings.lambda());
  }

  @Override
  public void endTask(TaskPlan<B> plan, Learner<B> learner) {
    Kernels kernels = learner.kernels();
    kernels.zero(scratch);
    kernels.accumulate(scratch, fisher, (float) settings.decay());
    kernels.copy(scratch, fisher);
    long samples =
        settings.samples() == 0 ? plan.samples() : Math.min(settings.samples(), plan.samples());
    for (long i = 0; i < samples; i++) {
      learner.measure(
          plan.sample(i),
          gradient -> kernels.accumulateProduct(fisher, gradient, gradient, 1f / samples));
    }
    kernels.copy(learner.weights(), anchor);
  }

  @Override
  public SequencedMap<String, ParameterVector> vectors() {
    SequencedMap<String, ParameterVector> vectors = new LinkedHashMap<>();
    vectors.put("fisher", fisher);
    vectors.put("anchor", anchor);
    return vectors;
  }

  @Override
  public void close() {
    fisher.close();
    anchor.close();
    scratch.close();
  }
}
