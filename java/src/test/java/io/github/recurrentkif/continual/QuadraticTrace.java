package io.github.recurrentkif.continual;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.recurrentkif.continual.LearningEvent.AfterFusion;
import io.github.recurrentkif.continual.LearningEvent.AfterInner;
import io.github.recurrentkif.continual.LearningEvent.AfterOuter;
import io.github.recurrentkif.continual.LearningEvent.BeforeMerge;
import io.github.recurrentkif.continual.RecurrentKifSettings.OuterLoop;
import io.github.recurrentkif.kernels.ImportanceRule;
import io.github.recurrentkif.kernels.ImportanceRule.Formula;
import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.kernels.MergeRule;
import io.github.recurrentkif.kernels.RandomKey;
import io.github.recurrentkif.kernels.Score;
import io.github.recurrentkif.kernels.Side;
import io.github.recurrentkif.kernels.reference.ReferenceKernels;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.memory.Shape;
import io.github.recurrentkif.training.Learner;
import io.github.recurrentkif.training.LearningRateSchedule;
import io.github.recurrentkif.training.LearningRateSchedule.WarmupLinear;
import io.github.recurrentkif.training.Objective;
import io.github.recurrentkif.training.OptimizerSettings;
import io.github.recurrentkif.training.Outcome;
import io.github.recurrentkif.training.Update;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.stream.IntStream;

/**
 * The problem of the small trace, also in other sizes: quadratic losses whose minima move, run
 * through the learner and the method, cycles of 4 updates and 2 outer steps.
 */
final class QuadraticTrace {

  private QuadraticTrace() {}

  /** The size of a run: elements of both tensors, updates taken, updates of the schedule. */
  record Problem(int sizeA, int sizeB, int updates, int total) {

    static final Problem TRACE = new Problem(12, 8, 10, 20);
    static final Problem LARGER = new Problem(120, 80, 42, 60);

    int parameters() {
      return sizeA + sizeB;
    }

    double[] start() {
      return IntStream.range(0, parameters())
          .mapToDouble(i -> i < sizeA ? 0.1 * Math.sin(i + 1) : 0.05 * Math.cos(i - sizeA + 1))
          .toArray();
    }

    LearningRateSchedule schedule() {
      return new WarmupLinear(1e-2, 3, total);
    }
  }

  /** A batch of the trace: which of the two losses, and how far its minimum has moved. */
  record Pull(int loss, long step) {}

  /** {@code 0.5*c*(w - t*(1 + step/10))^2}, summed over the elements of both tensors. */
  private record Quadratics(ParameterVector weights) implements Objective<Pull> {

    @Override
    public double gradient(Pull pull, RandomKey randomness, ParameterVector gradient) {
      return gradient("A", 0, pull, gradient) + gradient("B", 5, pull, gradient);
    }

    private double gradient(String tensor, int offset, Pull pull, ParameterVector gradient) {
      float[] w = weights.download(tensor);
      float[] g = new float[w.length];
      int k = pull.loss + offset;
      double loss = 0;
      for (int i = 0; i < w.length; i++) {
        double curvature = 1 + 0.5 * Math.sin(i * k + k);
        double distance = w[i] - 0.3 * Math.cos(i * (k + 1)) * (1 + 0.1 * pull.step);
        loss += 0.5 * curvature * distance * distance;
        g[i] = (float) (curvature * distance);
      }
      gradient.upload(tensor, MemorySegment.ofArray(g));
      return loss;
    }

    @Override
    public void close() {}
  }

  /**
   * The batches of the trace.
   *
   * @param parts into which each inner batch is divided, as micro-batches are
   */
  record TracePlan(
      long updates, LearningRateSchedule schedule, float outerScale, int outerRateFrom, int parts)
      implements TaskPlan<Pull> {

    static TracePlan faithful(Problem problem, int parts) {
      return new TracePlan(problem.updates, problem.schedule(), 0.25f, 0, parts);
    }

    @Override
    public Update<Pull> inner(long completed) {
      return new Update<>(
          Collections.nCopies(parts, new Pull(1, completed)),
          1f / parts,
          schedule.at(completed),
          RandomKey.ofSeed(0));
    }

    @Override
    public boolean hasMemory() {
      return true;
    }

    @Override
    public Update<Pull> outer(long completed, int repeat) {
      return new Update<>(
          List.of(new Pull(2, (completed / 4 - 1) * 2 + repeat)),
          outerScale,
          schedule.at(completed + outerRateFrom),
          RandomKey.ofSeed(0));
    }
  }

  static final RecurrentKifSettings FAITHFUL =
      settings(0.85, 0.8, MergeRule.reference(), OuterLoop.SHARED_OPTIMIZER);

  static RecurrentKifSettings settings(
      double beta, double quantile, MergeRule merge, OuterLoop outerLoop) {
    ImportanceRule rule = new ImportanceRule(Formula.FIRST_ORDER, beta, beta);
    return new RecurrentKifSettings(4, 2, quantile, rule, rule, merge, 0, outerLoop);
  }

  /** One event of a run, as the trace has them. */
  record Entry(
      String event, double rate, double norm, double[] weights, List<List<Integer>> masks) {}

  /** Runs the method over the trace's task and writes down what happens. */
  static List<Entry> run(
      Problem problem,
      RecurrentKifSettings settings,
      TracePlan plan,
      OptimizerSettings optimizer,
      Kernels kernels,
      boolean newOptimizerAfterFusion) {
    var shapes = new LinkedHashMap<String, Shape>();
    shapes.put("A", Shape.of(problem.sizeA));
    shapes.put("B", Shape.of(problem.sizeB));
    ParameterLayout layout = ParameterLayout.of(shapes);
    List<Entry> entries = new ArrayList<>();
    try (var weights = new ParameterVector(layout, kernels.device());
        var learner = new Learner<>(weights, kernels, new Quadratics(weights), optimizer);
        var method = new RecurrentKif<Pull>(settings, layout, kernels)) {
      float[] start = new float[problem.parameters()];
      for (int i = 0; i < start.length; i++) {
        start[i] = (float) problem.start()[i];
      }
      weights.upload("A", MemorySegment.ofArray(Arrays.copyOf(start, problem.sizeA)));
      weights.upload(
          "B", MemorySegment.ofArray(Arrays.copyOfRange(start, problem.sizeA, start.length)));
      method.beginTask(0, learner);
      method.learn(
          plan,
          0,
          learner,
          event -> {
            entries.add(entry(event, elements(weights)));
            if (newOptimizerAfterFusion && event instanceof AfterFusion) {
              learner.newTask();
            }
          });
    }
    return entries;
  }

  static Entry entry(LearningEvent event, double[] weights) {
    return switch (event) {
      case AfterInner inner -> entry("inner", inner.outcome(), weights);
      case AfterOuter outer -> entry("outer", outer.outcome(), weights);
      case BeforeMerge merge -> {
        List<List<Integer>> masks =
            List.of(
                mask(merge.inner(), merge.rule().score()),
                mask(merge.outer(), merge.rule().score()));
        List<Integer> shared = new ArrayList<>(masks.get(0));
        shared.retainAll(masks.get(1));
        assertEquals(shared.size(), merge.maskCounts().shared());
        assertEquals(masks.get(0).size() - shared.size(), merge.maskCounts().newOnly());
        assertEquals(masks.get(1).size() - shared.size(), merge.maskCounts().oldOnly());
        assertEquals(weights.length, merge.maskCounts().elements());
        yield new Entry("masks", 0, 0, weights, masks);
      }
      case AfterFusion _ -> new Entry("fused", 0, 0, weights, List.of());
    };
  }

  static Entry entry(String event, Outcome outcome, double[] weights) {
    return new Entry(event, outcome.learningRate(), outcome.gradientNorm(), weights, List.of());
  }

  static List<Integer> mask(Side side, Score score) {
    double[] sensitivity = elements(side.importance().sensitivity());
    double[] uncertainty = elements(side.importance().uncertainty());
    return IntStream.range(0, sensitivity.length)
        .filter(
            i ->
                switch (score) {
                      case SENSITIVITY -> (float) sensitivity[i];
                      case SENSITIVITY_TIMES_UNCERTAINTY ->
                          (float) sensitivity[i] * (float) uncertainty[i];
                    }
                    > side.threshold().value())
        .boxed()
        .toList();
  }

  static double[] elements(ParameterVector vector) {
    float[] a = vector.download("A");
    float[] b = vector.download("B");
    return IntStream.range(0, a.length + b.length)
        .mapToDouble(i -> i < a.length ? a[i] : b[i - a.length])
        .toArray();
  }

  static double deviation(double[] one, double[] other) {
    assertEquals(one.length, other.length);
    return IntStream.range(0, one.length)
        .mapToDouble(i -> Math.abs(one[i] - other[i]))
        .max()
        .orElseThrow();
  }

  /** As the method is, with each inner batch in so many micro-batches. */
  static List<Entry> faithful(Problem problem, int parts) {
    return run(
        problem,
        FAITHFUL,
        TracePlan.faithful(problem, parts),
        OptimizerSettings.reference(),
        new ReferenceKernels(),
        false);
  }
}
