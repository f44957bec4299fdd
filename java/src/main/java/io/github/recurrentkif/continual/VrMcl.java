package io.github.recurrentkif.continual;

import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.training.Learner;
import io.github.recurrentkif.training.Outcome;
import io.github.recurrentkif.training.Update;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;

/**
 * Variance-reduced meta-continual learning (Wu et al., ICLR 2024): a task is learned so that steps
 * on its samples also lower the loss on the memory. An update takes, from the weights, one step of
 * plain gradient descent on each micro-batch of new data, at rates that every parameter has for
 * itself and that are learned; the gradient where that ends, on the same new data and on a batch of
 * memory, is the hypergradient, which the optimiser then follows from the weights.
 *
 * <p>The hypergradient of a batch is noisy. As in STORM (Cutkosky and Orabona, 2019), the momentum
 * is corrected by what the same batch gives at the weights before: {@code v = h(w) + r * (v -
 * h(previous w))}.
 *
 * <p>The hypergradient is of first order: that of the inner steps with respect to the weights is
 * taken for the identity. Without memory, as in the first task, it learns plainly.
 */
public final class VrMcl<B> implements ContinualMethod<B> {

  /**
   * The constants of the method.
   *
   * @param innerRate of the steps on micro-batches, where it begins
   * @param rateStep how fast the rates of the parameters are learned; 0 to leave them as they are
   * @param momentum r: how much of the corrected past is kept, in [0, 1)
   */
  public record Settings(double innerRate, double rateStep, double momentum) {}

  private final Settings settings;
  private final ParameterVector rates;
  private final ParameterVector momentum;
  private final ParameterVector previous;
  private final ParameterVector here;
  private final ParameterVector innerSum;
  private final ParameterVector hypergradient;
  private final ParameterVector hypergradientBefore;
  private final ParameterVector corrected;

  public VrMcl(Settings settings, ParameterLayout layout, Kernels kernels) {
    this.settings = settings;
    this.rates = new ParameterVector(layout, kernels.device());
    this.momentum = new ParameterVector(layout, kernels.device());
    this.previous = new ParameterVector(layout, kernels.device());
    this.here = new ParameterVector(layout, kernels.device());
    this.innerSum = new ParameterVector(layout, kernels.device());
    this.hypergradient = new ParameterVector(layout, kernels.device());
    this.hypergradientBefore = new ParameterVector(layout, kernels.device());
    this.corrected = new ParameterVector(layout, kernels.device());
  }

  @Override
  public MemoryUse memoryUse() {
    return MemoryUse.REPLAYED;
  }

  /** The rates are learned over all tasks, the momentum within one. */
  @Override
  public void beginTask(int task, Learner<B> learner) {
    learner.newTask();
    if (task == 0) {
      for (var tensor : rates.layout().tensors()) {
        float[] values = new float[Math.toIntExact(tensor.elements())];
        Arrays.fill(values, (float) settings.innerRate());
        rates.upload(tensor.name(), MemorySegment.ofArray(values));
      }
    }
  }

  @Override
  public Outcome update(TaskPlan<B> plan, long completed, Learner<B> learner) {
    Update<B> fresh = plan.inner(completed);
    if (!plan.hasMemory()) {
      return learner.update(fresh);
    }
    Kernels kernels = learner.kernels();
    ParameterVector weights = learner.weights();
    Update<B> drawn = plan.outer(completed, 0);
    Update<B> replayed =
        new Update<>(drawn.microBatches(), 1, fresh.learningRate(), drawn.randomness());
    boolean first = completed == 0;
    kernels.copy(weights, here);
    if (!first) {
      kernels.copy(previous, weights);
      adapt(fresh, learner);
      measureHalf(fresh, hypergradientBefore, learner);
      learner.measure(
          replayed, gradient -> kernels.accumulate(hypergradientBefore, gradient, 0.5f));
      kernels.copy(here, weights);
    }
    adapt(fresh, learner);
    Outcome learned = measureHalf(fresh, hypergradient, learner);
    // The other half is the gradient of the update itself, which then begins from the weights.
    Outcome outcome =
        learner.update(
            replayed,
            gradient -> {
              kernels.accumulate(hypergradient, gradient, 0.5f);
              kernels.copy(hypergradient, gradient);
              if (!first) {
                kernels.accumulate(gradient, momentum, (float) settings.momentum());
                kernels.accumulate(gradient, hypergradientBefore, (float) -settings.momentum());
              }
              kernels.copy(gradient, corrected);
              kernels.copy(here, weights);
            });
    kernels.copy(here, previous);
    if (!outcome.refused()) {
      kernels.copy(corrected, momentum);
      learnRates(kernels);
    }
    return new Outcome(
        learned.losses(), outcome.gradientNorm(), outcome.learningRate(), outcome.refused());
  }

  /** Steps on each micro-batch: {@code weights = weights - rates*gradient}; sums the gradients. */
  private void adapt(Update<B> fresh, Learner<B> learner) {
    Kernels kernels = learner.kernels();
    kernels.zero(innerSum);
    int number = 0;
    for (B batch : fresh.microBatches()) {
      Update<B> one = new Update<>(List.of(batch), 1, 0, fresh.randomness().at(number++));
      learner.measure(
          one,
          gradient -> {
            kernels.accumulate(innerSum, gradient, 1);
            kernels.accumulateProduct(learner.weights(), rates, gradient, -1);
          });
    }
  }

  private Outcome measureHalf(Update<B> fresh, ParameterVector result, Learner<B> learner) {
    learner.kernels().zero(result);
    return learner.measure(fresh, gradient -> learner.kernels().accumulate(result, gradient, 0.5f));
  }

  /**
   * {@code rates = max(0, rates + step * hypergradient*innerSum)}: what the loss after the inner
   * steps says of their rates.
   */
  private void learnRates(Kernels kernels) {
    if (settings.rateStep() == 0) {
      return;
    }
    kernels.accumulateProduct(rates, hypergradient, innerSum, (float) settings.rateStep());
    for (var tensor : rates.layout().tensors()) {
      float[] values = rates.download(tensor.name());
      for (int i = 0; i < values.length; i++) {
        values[i] = Math.max(0, values[i]);
      }
      rates.upload(tensor.name(), MemorySegment.ofArray(values));
    }
  }

  @Override
  public SequencedMap<String, ParameterVector> vectors() {
    SequencedMap<String, ParameterVector> vectors = new LinkedHashMap<>();
    vectors.put("rates", rates);
    vectors.put("momentum", momentum);
    vectors.put("previous", previous);
    return vectors;
  }

  @Override
  public void close() {
    for (ParameterVector vector :
        List.of(
            rates,
            momentum,
            previous,
            here,
            innerSum,
            hypergradient,
            hypergradientBefore,
            corrected)) {
      vector.close();
    }
  }
}
