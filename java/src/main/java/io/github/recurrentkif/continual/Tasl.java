package io.github.recurrentkif.continual;

import io.github.recurrentkif.kernels.Importance;
import io.github.recurrentkif.kernels.ImportanceRule;
import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.model.LoraModule;
import io.github.recurrentkif.training.Learner;
import io.github.recurrentkif.training.Outcome;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;

/**
 * Task skill localization and consolidation (Feng et al., ACL 2024), the predecessor of {@link
 * RecurrentKif}: the importance of parameters is taken while a task is learned, and what was
 * learned is merged once, when it is over, skill unit by skill unit. A skill unit is a component of
 * rank one of a layer's adapter.
 *
 * <p>No memory is kept of samples; of the units' importance to the tasks before, a moving average
 * is.
 */
public final class Tasl<B> implements ContinualMethod<B> {

  /**
   * The constants of the method.
   *
   * @param rule how the importance of a parameter is smoothed over the updates of a task
   * @param quantile of the units' importances, above which a unit is important
   * @param keep share of the old in the average of the units' importance over tasks
   * @param temperature of the softmax that weighs both sides of a unit important to both or neither
   */
  public record Settings(ImportanceRule rule, double quantile, double keep, double temperature) {}

  private final Settings settings;
  private final List<LoraModule> modules;
  private final Importance importance;
  private final ParameterVector previous;
  private final ParameterVector history;
  private final ParameterVector scratch;

  public Tasl(Settings settings, ParameterLayout layout, Kernels kernels) {
    this.settings = settings;
    this.modules = LoraModule.of(layout);
    this.importance = Importance.zero(layout, kernels.device());
    this.previous = new ParameterVector(layout, kernels.device());
    this.history = new ParameterVector(layout, kernels.device());
    this.scratch = new ParameterVector(layout, kernels.device());
  }

  @Override
  public void beginTask(int task, Learner<B> learner) {
    learner.newTask();
    learner.kernels().copy(learner.weights(), previous);
    learner.kernels().zero(importance.sensitivity());
    learner.kernels().zero(importance.uncertainty());
  }

  @Override
  public Outcome update(TaskPlan<B> plan, long completed, Learner<B> learner) {
    return learner.update(plan.inner(completed), importance, settings.rule());
  }

  @Override
  public void endTask(TaskPlan<B> plan, Learner<B> learner) {
    double[] learned = normalized(unitImportance());
    if (plan.task() == 0) {
      spread(learned, history);
      return;
    }
    double[] kept = unitsOf(history);
    merge(normalized(kept), learned, learner);
    double[] average = new double[kept.length];
    for (int i = 0; i < average.length; i++) {
      average[i] = settings.keep() * kept[i] + (1 - settings.keep()) * learned[i];
    }
    spread(average, history);
  }

  /** {@code weights = previous + share * (weights - previous)}, with a share for each unit. */
  private void merge(double[] kept, double[] learned, Learner<B> learner) {
    double keptBound = Quantiles.of(kept, settings.quantile());
    double learnedBound = Quantiles.of(learned, settings.quantile());
    double[] shares = new double[kept.length];
    for (int i = 0; i < shares.length; i++) {
      boolean toOld = kept[i] > keptBound;
      boolean toNew = learned[i] > learnedBound;
      double softmax = 1 / (1 + Math.exp((kept[i] - learned[i]) / settings.temperature()));
      shares[i] = toOld == toNew ? softmax : toNew ? 1 : 0;
    }
    Kernels kernels = learner.kernels();
    ParameterVector weights = learner.weights();
    kernels.copy(weights, scratch);
    kernels.accumulate(scratch, previous, -1);
    kernels.copy(previous, weights);
    spread(shares, importance.sensitivity()); // Not needed any more; zero when a task begins.
    kernels.accumulateProduct(weights, importance.sensitivity(), scratch, 1);
  }

  /**
   * Of each unit: the mean over the elements of its product, row of A times column of B, of the
   * products of their scores, which is the product of the mean scores.
   */
  private double[] unitImportance() {
    double[] units = new double[units()];
    int unit = 0;
    for (LoraModule module : modules) {
      float[] a = scores(module.a());
      float[] b = scores(module.b());
      for (int k = 0; k < module.rank(); k++) {
        double row = 0;
        for (int j = 0; j < module.inputs(); j++) {
          row += a[k * module.inputs() + j];
        }
        double column = 0;
        for (int i = 0; i < module.outputs(); i++) {
          column += b[i * module.rank() + k];
        }
        units[unit++] = row / module.inputs() * (column / module.outputs());
      }
    }
    return units;
  }

  private float[] scores(ParameterLayout.Tensor tensor) {
    float[] scores = importance.sensitivity().download(tensor.name());
    float[] uncertainty = importance.uncertainty().download(tensor.name());
    for (int i = 0; i < scores.length; i++) {
      scores[i] *= uncertainty[i];
    }
    return scores;
  }

  private int units() {
    return modules.stream().mapToInt(LoraModule::rank).sum();
  }

  /** To [0, 1]; all zero where all are equal. */
  private static double[] normalized(double[] values) {
    double smallest = Arrays.stream(values).min().orElse(0);
    double range = Arrays.stream(values).max().orElse(0) - smallest;
    return Arrays.stream(values).map(v -> range == 0 ? 0 : (v - smallest) / range).toArray();
  }

  /** Writes the value of each unit to all elements of its row of A and its column of B. */
  private void spread(double[] units, ParameterVector vector) {
    int unit = 0;
    for (LoraModule module : modules) {
      float[] a = new float[Math.toIntExact(module.a().elements())];
      float[] b = new float[Math.toIntExact(module.b().elements())];
      for (int k = 0; k < module.rank(); k++) {
        float value = (float) units[unit++];
        Arrays.fill(a, k * module.inputs(), (k + 1) * module.inputs(), value);
        for (int i = 0; i < module.outputs(); i++) {
          b[i * module.rank() + k] = value;
        }
      }
      vector.upload(module.a().name(), MemorySegment.ofArray(a));
      vector.upload(module.b().name(), MemorySegment.ofArray(b));
    }
  }

  /** What {@link #spread} wrote. */
  private double[] unitsOf(ParameterVector vector) {
    List<Float> units = new ArrayList<>();
    for (LoraModule module : modules) {
      float[] b = vector.download(module.b().name());
      for (int k = 0; k < module.rank(); k++) {
        units.add(b[k]);
      }
    }
    return units.stream().mapToDouble(Float::doubleValue).toArray();
  }

  @Override
  public SequencedMap<String, ParameterVector> vectors() {
    SequencedMap<String, ParameterVector> vectors = new LinkedHashMap<>();
    vectors.put("sensitivity", importance.sensitivity());
    vectors.put("uncertainty", importance.uncertainty());
    vectors.put("previous", previous);
    vectors.put("history", history);
    return vectors;
  }

  @Override
  public void close() {
    importance.close();
    previous.close();
    history.close();
    scratch.close();
  }
}
