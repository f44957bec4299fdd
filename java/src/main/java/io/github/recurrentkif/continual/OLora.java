package io.github.recurrentkif.continual;

import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.model.LoraModule;
import io.github.recurrentkif.training.Learner;
import io.github.recurrentkif.training.Outcome;
import java.lang.foreign.MemorySegment;
import java.util.stream.IntStream;

/**
 * Orthogonal low-rank adaptation (Wang et al., Findings of EMNLP 2023): {@link IncrementalLora},
 * with a loss that grows by {@code lambda1 * sum |A_i A_t^T|}, over the elements of these products,
 * the layers, and the tasks i before t, so that a task learns in directions that earlier ones left
 * free; and by {@code lambda2} times the sum of the norms of the matrices that are learned.
 */
public final class OLora<B> implements ContinualMethod<B> {

  /** The constants of the method. */
  public record Settings(double lambda1, double lambda2) {}

  private final Settings settings;
  private final StackedAdapters adapters;
  private final ParameterVector penalty;

  /**
   * @param tasks of the stream
   * @param layout of an adapter with a rank for every task
   */
  public OLora(Settings settings, int tasks, ParameterLayout layout, Kernels kernels) {
    this.settings = settings;
    this.adapters = new StackedAdapters(tasks, layout, kernels);
    this.penalty = new ParameterVector(layout, kernels.device());
  }

  @Override
  public Outcome update(TaskPlan<B> plan, long completed, Learner<B> learner) {
    return learner.update(
        plan.inner(completed),
        gradient -> {
          Kernels kernels = learner.kernels();
          writePenalty(plan.task(), learner.weights());
          kernels.accumulate(gradient, penalty, 1);
          adapters.keepOwn(plan.task(), gradient, kernels);
        });
  }

  /** The gradient of both penalties with respect to what the task learns. */
  private void writePenalty(int task, ParameterVector weights) {
    int first = task * adapters.rank();
    int end = first + adapters.rank();
    for (LoraModule module : LoraModule.of(weights.layout())) {
      int inputs = module.inputs();
      float[] a = weights.download(module.a().name());
      float[] slope = new float[a.length];
      for (int k = first; k < end; k++) {
        for (int earlier = 0; earlier < first; earlier++) {
          addOverlapSlope(a, slope, k * inputs, earlier * inputs, inputs);
        }
      }
      addNormSlope(a, slope, IntStream.range(first * inputs, end * inputs).toArray());
      penalty.upload(module.a().name(), MemorySegment.ofArray(slope));
      if (settings.lambda2() > 0) {
        float[] b = weights.download(module.b().name());
        float[] slopeOfB = new float[b.length];
        addNormSlope(
            b,
            slopeOfB,
            IntStream.range(0, b.length)
                .filter(i -> i % module.rank() >= first && i % module.rank() < end)
                .toArray());
        penalty.upload(module.b().name(), MemorySegment.ofArray(slopeOfB));
      }
    }
  }

  /** Of {@code lambda1 * |x . y|} with respect to x; where it is 0 it has no slope. */
  private void addOverlapSlope(float[] values, float[] slope, int x, int y, int length) {
    double product = 0;
    for (int j = 0; j < length; j++) {
      product += (double) values[x + j] * values[y + j];
    }
    float factor = (float) (settings.lambda1() * Math.signum(product));
    for (int j = 0; j < length; j++) {
      slope[x + j] += factor * values[y + j];
    }
  }

  /** Of {@code lambda2 * |x|} with respect to x, whose elements lie at these places. */
  private void addNormSlope(float[] values, float[] slope, int[] places) {
    double squares = 0;
    for (int place : places) {
      squares += (double) values[place] * values[place];
    }
    float factor = squares == 0 ? 0 : (float) (settings.lambda2() / Math.sqrt(squares));
    for (int place : places) {
      slope[place] += factor * values[place];
    }
  }

  @Override
  public void close() {
    adapters.close();
    penalty.close();
  }
}
