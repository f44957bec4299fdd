package io.github.recurrentkif.training;

import io.github.recurrentkif.kernels.AdamWStep;
import io.github.recurrentkif.kernels.Importance;
import io.github.recurrentkif.kernels.ImportanceRule;
import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.memory.ParameterVector;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.function.Consumer;

/**
 * Turns batches into new weights: sums micro-batch gradients, clips, takes one AdamW step and, on
 * the way, updates an importance.
 *
 * <p>Every vector has the layout of the weights and lies on the device of the kernels. The weights,
 * the kernels and the objective belong to the caller; closing the learner frees only what it
 * allocated. A learner is used by one thread at a time.
 *
 * <p>An update whose gradient norm is not finite is refused: it is counted, and weights, moments,
 * step count and importance stay as they are.
 *
 * @param <B> a micro-batch
 */
public final class Learner<B> implements Resumable, AutoCloseable {

  private static final String STEP = "adam.step";
  private static final String REFUSED = "refused";

  private final ParameterVector weights;
  private final Kernels kernels;
  private final Objective<B> objective;
  private final OptimizerSettings settings;
  private final GradientSum gradient;
  private final ParameterVector firstMoment;
  private final ParameterVector secondMoment;

  private long step;
  private long refused;

  /**
   * @param weights the vector that the objective reads
   */
  public Learner(
      ParameterVector weights,
      Kernels kernels,
      Objective<B> objective,
      OptimizerSettings settings) {
    this.weights = weights;
    this.kernels = kernels;
    this.objective = objective;
    this.settings = settings;
    this.gradient = new GradientSum(weights, kernels);
    this.firstMoment = new ParameterVector(weights.layout(), weights.device());
    this.secondMoment = new ParameterVector(weights.layout(), weights.device());
  }

  public ParameterVector weights() {
    return weights;
  }

  public Kernels kernels() {
    return kernels;
  }

  /** Begins with a new optimiser: both moments and the step count become zero. */
  public void newTask() {
    kernels.zero(firstMoment);
    kernels.zero(secondMoment);
    step = 0;
  }

  /** One step of the optimiser, without any importance. */
  public Outcome update(Update<B> update) {
    return update(update, _ -> {});
  }

  /**
   * One step of the optimiser on a gradient that a method changes first: adds a penalty's, masks
   * it. The outcome's norm is that of the changed gradient; its losses know no penalty.
   *
   * @param shape changes the gradient of the update, neither clipped nor examined so far
   */
  public Outcome update(Update<B> update, Consumer<ParameterVector> shape) {
    Gradient total = gradientOf(update, shape);
    if (total.finite()) {
      kernels.adamW(
          weights, total.vector, firstMoment, secondMoment, clip(total), nextStep(update));
    }
    return outcome(update, total);
  }

  /**
   * One step of the optimiser, and the importance from the weights after it and the clipped
   * gradient from before it.
   */
  public Outcome update(Update<B> update, Importance importance, ImportanceRule rule) {
    Gradient total = gradientOf(update);
    if (total.finite()) {
      kernels.adamWWithImportance(
          weights,
          total.vector,
          firstMoment,
          secondMoment,
          clip(total),
          nextStep(update),
          importance,
          rule);
    }
    return outcome(update, total);
  }

  /**
   * The importance alone, from the present weights and the clipped gradient; weights and optimiser
   * stay as they are.
   */
  public Outcome estimate(Update<B> update, Importance importance, ImportanceRule rule) {
    Gradient total = gradientOf(update);
    if (total.finite()) {
      kernels.importance(weights, total.vector, clip(total), importance, rule);
    }
    return outcome(update, total);
  }

  /**
   * The gradient of an update, not clipped; weights and optimiser stay as they are.
   *
   * @param use is handed the gradient, until it returns, if that is finite
   */
  public Outcome measure(Update<B> update, Consumer<ParameterVector> use) {
    Gradient total = gradientOf(update);
    if (total.finite()) {
      use.accept(total.vector);
    }
    return outcome(update, total);
  }

  /**
   * How large the outputs of the adapter's matrices were in the gradient taken last; see {@link
   * Objective#magnitudes}.
   *
   * @throws IllegalStateException if the adapter is not observed
   */
  public ParameterVector magnitudes() {
    ParameterVector magnitudes = objective.magnitudes();
    if (magnitudes == null) {
      throw new IllegalStateException("the adapter that is trained is not observed");
    }
    return magnitudes;
  }

  /** Updates refused so far, over all tasks. */
  public long refusedUpdates() {
    return refused;
  }

  private record Gradient(ParameterVector vector, float norm, List<Double> losses) {

    boolean finite() {
      return Float.isFinite(norm);
    }
  }

  private Gradient gradientOf(Update<B> update) {
    return gradientOf(update, _ -> {});
  }

  private Gradient gradientOf(Update<B> update, Consumer<ParameterVector> shape) {
    List<Double> losses = objective.gradient(update, gradient);
    ParameterVector total = gradient.total();
    shape.accept(total);
    return new Gradient(total, (float) Math.sqrt(kernels.squaredNorm(total)), losses);
  }

  private float clip(Gradient total) {
    return settings.clip(total.norm);
  }

  private AdamWStep nextStep(Update<B> update) {
    step++;
    return new AdamWStep(
        update.learningRate(),
        settings.beta1(),
        settings.beta2(),
        settings.epsilon(),
        settings.weightDecay(),
        step);
  }

  private Outcome outcome(Update<B> update, Gradient total) {
    if (!total.finite()) {
      refused++;
    }
    return new Outcome(total.losses, total.norm, update.learningRate(), !total.finite());
  }

  /** The weights and both moments; the gradients do not outlive an update. */
  @Override
  public SequencedMap<String, ParameterVector> vectors() {
    SequencedMap<String, ParameterVector> vectors = new LinkedHashMap<>();
    vectors.put("weights", weights);
    vectors.put("adam.first", firstMoment);
    vectors.put("adam.second", secondMoment);
    return vectors;
  }

  @Override
  public SequencedMap<String, Long> counters() {
    SequencedMap<String, Long> counters = new LinkedHashMap<>();
    counters.put(STEP, step);
    counters.put(REFUSED, refused);
    return counters;
  }

  @Override
  public void restore(Map<String, Long> counters) {
    Resumable.requireNames(this, counters);
    step = counters.getOrDefault(STEP, 0L);
    refused = counters.getOrDefault(REFUSED, 0L);
  }

  @Override
  public void close() {
    gradient.close();
    firstMoment.close();
    secondMoment.close();
  }
}
