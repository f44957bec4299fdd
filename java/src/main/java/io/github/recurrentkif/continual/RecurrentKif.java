package io.github.recurrentkif.continual;

import io.github.recurrentkif.continual.LearningEvent.AfterFusion;
import io.github.recurrentkif.continual.LearningEvent.AfterInner;
import io.github.recurrentkif.continual.LearningEvent.AfterOuter;
import io.github.recurrentkif.continual.LearningEvent.BeforeMerge;
import io.github.recurrentkif.kernels.Importance;
import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.kernels.MergeRule;
import io.github.recurrentkif.kernels.Side;
import io.github.recurrentkif.kernels.Threshold;
import io.github.recurrentkif.memory.Device;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.training.Learner;
import io.github.recurrentkif.training.Outcome;
import io.github.recurrentkif.training.Update;
import java.util.LinkedHashMap;
import java.util.SequencedMap;

/**
 * Recurrent knowledge identification and fusion (Feng et al., ACL 2025): after every few updates on
 * the new task, re-estimate what matters to the history on replayed samples, then merge what was
 * learned into the weights, parameter by parameter, by what each is important to.
 *
 * <p>Without memory, as in the first task, it learns plainly: no importance, no fusion. Updates
 * after the last full cycle of a task stay as they are. If a task ends with a full cycle, it ends
 * with a fusion.
 */
public final class RecurrentKif<B> implements ContinualMethod<B> {

  private final RecurrentKifSettings settings;
  private final ParameterVector base;
  private final ParameterVector snapshot;
  private final Side inner;
  private final Side outer;

  /**
   * @param layout of the weights that will be learned
   * @param kernels of the learner to come: all vectors lie on their device
   */
  public RecurrentKif(RecurrentKifSettings settings, ParameterLayout layout, Kernels kernels) {
    this.settings = settings;
    this.base = new ParameterVector(layout, kernels.device());
    this.snapshot = new ParameterVector(layout, kernels.device());
    this.inner = side(settings, layout, kernels.device());
    this.outer = side(settings, layout, kernels.device());
  }

  private static Side side(RecurrentKifSettings settings, ParameterLayout layout, Device device) {
    return new Side(
        Importance.zero(layout, device),
        settings.thresholdOfEachTensor()
            ? Threshold.ofEachTensor(layout, device)
            : new Threshold(device));
  }

  @Override
  public MemoryUse memoryUse() {
    return MemoryUse.REPLAYED;
  }

  @Override
  public void beginTask(int task, Learner<B> learner) {
    learner.newTask();
    learner.kernels().copy(learner.weights(), base);
    for (Side side : new Side[] {inner, outer}) {
      learner.kernels().zero(side.importance().sensitivity());
      learner.kernels().zero(side.importance().uncertainty());
    }
  }

  @Override
  public long learn(TaskPlan<B> plan, long completed, Learner<B> learner, Observer observer) {
    if (completed == 0 && plan.hasMemory()) {
      for (int repeat = 0; repeat < settings.historyEstimates(); repeat++) {
        learner.estimate(plan.outer(0, repeat), outer.importance(), settings.outerRule());
      }
    }
    long done = completed;
    while (done < plan.updates()) {
      Update<B> update = plan.inner(done);
      Outcome outcome =
          plan.hasMemory()
              ? learner.update(update, inner.importance(), settings.innerRule())
              : learner.update(update);
      done++;
      observer.on(new AfterInner(done, outcome));
      if (plan.hasMemory() && done % settings.cycleLength() == 0) {
        learner.kernels().copy(learner.weights(), snapshot);
        for (int repeat = 0; repeat < settings.outerSteps(); repeat++) {
          Outcome replayed = replay(plan.outer(done, repeat), learner);
          observer.on(new AfterOuter(done, repeat, replayed));
        }
        fuse(done, learner, observer);
      }
      if (observer.stopsAfter(done)) {
        break;
      }
    }
    return done;
  }

  private Outcome replay(Update<B> update, Learner<B> learner) {
    if (settings.historyEstimates() > 0) {
      return learner.update(update);
    }
    return switch (settings.outerLoop()) {
      case SHARED_OPTIMIZER -> learner.update(update, outer.importance(), settings.outerRule());
      case IMPORTANCE_ONLY -> learner.estimate(update, outer.importance(), settings.outerRule());
    };
  }

  private void fuse(long done, Learner<B> learner, Observer observer) {
    Kernels kernels = learner.kernels();
    ParameterVector weights = learner.weights();
    MergeRule rule = settings.merge();
    kernels.measure(inner, rule, settings.quantile());
    kernels.measure(outer, rule, settings.quantile());
    observer.on(new BeforeMerge(done, weights, base, snapshot, inner, outer, rule, kernels));
    kernels.merge(weights, base, snapshot, inner, outer, rule);
    observer.on(new AfterFusion(done, weights, base));
  }

  /** Where the cycle began and both importances; the snapshot does not outlive a fusion. */
  @Override
  public SequencedMap<String, ParameterVector> vectors() {
    SequencedMap<String, ParameterVector> vectors = new LinkedHashMap<>();
    vectors.put("base", base);
    vectors.put("inner.sensitivity", inner.importance().sensitivity());
    vectors.put("inner.uncertainty", inner.importance().uncertainty());
    vectors.put("outer.sensitivity", outer.importance().sensitivity());
    vectors.put("outer.uncertainty", outer.importance().uncertainty());
    return vectors;
  }

  @Override
  public void close() {
    base.close();
    snapshot.close();
    inner.close();
    outer.close();
  }
}
