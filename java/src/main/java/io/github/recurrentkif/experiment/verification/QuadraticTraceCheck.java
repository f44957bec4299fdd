package io.github.recurrentkif.experiment.verification;

import io.github.recurrentkif.continual.LearningEvent;
import io.github.recurrentkif.continual.RecurrentKif;
import io.github.recurrentkif.continual.RecurrentKifSettings;
import io.github.recurrentkif.continual.TaskPlan;
import io.github.recurrentkif.kernels.ImportanceRule;
import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.kernels.MergeRule;
import io.github.recurrentkif.kernels.RandomKey;
import io.github.recurrentkif.kernels.Side;
import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.memory.Shape;
import io.github.recurrentkif.training.Learner;
import io.github.recurrentkif.training.LearningRateSchedule;
import io.github.recurrentkif.training.Objective;
import io.github.recurrentkif.training.OptimizerSettings;
import io.github.recurrentkif.training.Outcome;
import io.github.recurrentkif.training.Update;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import java.util.function.IntToDoubleFunction;
import java.util.stream.IntStream;

/**
 * Replays a recorded float64 trace of the whole method on quadratic losses: two tensors A and B,
 * the loss of side k (1 new, 2 history) {@code 0.5*c*(w - t*(1 + step/10))^2} summed, with {@code c
 * = 1 + 0.5*sin(i*(k+o) + (k+o))} and {@code t = 0.3*cos(i*(k+o+1))}, o = 0 for A and 5 for B. It
 * starts from {@code 0.1*sin(i+1)} and {@code 0.05*cos(i+1)}.
 */
public final class QuadraticTraceCheck {

  private static final int SIZE_A = 12;
  private static final int SIZE_B = 8;

  private final JsonFile setup;
  private final List<JsonFile> trace;
  private final Kernels kernels;
  private final Measure.Gatherer rates = new Measure.Gatherer("learning rate, absolute", 1e-15);
  private final Measure.Gatherer norms = new Measure.Gatherer("gradient norm, relative", 1e-6);
  private final Measure.Gatherer weights = new Measure.Gatherer("weights, absolute", 1e-6);
  private final Measure.Gatherer masks = new Measure.Gatherer("mask entries that differ", 0);
  private int next;

  /** Which of the two losses, and how far its minimum has moved. */
  private record Pull(int side, long step) {}

  private QuadraticTraceCheck(Path file, Kernels kernels) {
    JsonFile json = JsonFile.read(file);
    this.setup = json.at("setup");
    this.trace = json.at("trace").elements();
    this.kernels = kernels;
  }

  /** Replays the trace in a file; one measure for each quantity compared. */
  public static List<Measure> run(Path file, Kernels kernels) {
    QuadraticTraceCheck check = new QuadraticTraceCheck(file, kernels);
    check.replay();
    return List.of(
        check.rates.measure(),
        check.norms.measure(),
        check.weights.measure(),
        check.masks.measure(),
        new Measure("events not replayed", check.trace.size() - check.next, 0, ""));
  }

  private void replay() {
    SequencedMap<String, Shape> shapes = new LinkedHashMap<>();
    shapes.put("A", Shape.of(SIZE_A));
    shapes.put("B", Shape.of(SIZE_B));
    ParameterLayout layout = ParameterLayout.of(shapes);
    ImportanceRule rule =
        new ImportanceRule(
            ImportanceRule.Formula.FIRST_ORDER,
            setup.at("beta").number(),
            setup.at("beta").number());
    RecurrentKifSettings settings =
        new RecurrentKifSettings(
            setup.at("Q").whole(),
            setup.at("M").whole(),
            setup.at("quantile").number(),
            rule,
            rule,
            MergeRule.reference(),
            0,
            RecurrentKifSettings.OuterLoop.SHARED_OPTIMIZER);
    OptimizerSettings reference = OptimizerSettings.reference();
    OptimizerSettings optimizer =
        new OptimizerSettings(
            reference.beta1(),
            reference.beta2(),
            reference.epsilon(),
            0,
            (float) setup.at("clip").number());
    try (ParameterVector vector = new ParameterVector(layout, kernels.device());
        Learner<Pull> learner = new Learner<>(vector, kernels, new Quadratics(vector), optimizer);
        RecurrentKif<Pull> method = new RecurrentKif<>(settings, layout, kernels)) {
      vector.upload("A", values(SIZE_A, i -> 0.1 * Math.sin(i + 1)));
      vector.upload("B", values(SIZE_B, i -> 0.05 * Math.cos(i + 1)));
      method.beginTask(0, learner);
      method.learn(new Plan(), 0, learner, event -> compare(event, vector));
    }
  }

  private static double[] values(int size, IntToDoubleFunction value) {
    return IntStream.range(0, size).mapToDouble(value).toArray();
  }

  private void compare(LearningEvent event, ParameterVector vector) {
    if (next >= trace.size()) {
      throw new InputException(
          setup.file() + ": holds " + trace.size() + " events, the replay has more");
    }
    JsonFile expected = trace.get(next++);
    String kind =
        switch (event) {
          case LearningEvent.AfterInner _ -> "inner";
          case LearningEvent.AfterOuter _ -> "outer";
          case LearningEvent.BeforeMerge _ -> "masks";
          case LearningEvent.AfterFusion _ -> "fused";
        };
    if (!expected.at("ev").text().equals(kind)) {
      throw new InputException(
          setup.file()
              + ": event "
              + next
              + " is '"
              + expected.at("ev").text()
              + "', the replay has '"
              + kind
              + "'");
    }
    String place = "event " + next + ", " + kind;
    switch (event) {
      case LearningEvent.AfterInner e -> compare(e.outcome(), expected, vector, place);
      case LearningEvent.AfterOuter e -> compare(e.outcome(), expected, vector, place);
      case LearningEvent.BeforeMerge e -> {
        compareMask(e.inner(), expected.at("inner"), place + ", inner");
        compareMask(e.outer(), expected.at("outer"), place + ", outer");
      }
      case LearningEvent.AfterFusion _ -> compareWeights(expected, vector, place);
    }
  }

  private void compare(Outcome outcome, JsonFile expected, ParameterVector vector, String place) {
    rates.addAbsolute(expected.at("lr").number(), outcome.learningRate(), place);
    norms.addRelative(expected.at("gradnorm").number(), outcome.gradientNorm(), place);
    compareWeights(expected, vector, place);
  }

  private void compareWeights(JsonFile expected, ParameterVector vector, String place) {
    List<JsonFile> values = expected.at("w").elements();
    float[] a = vector.download("A");
    float[] b = vector.download("B");
    for (int i = 0; i < values.size(); i++) {
      weights.addAbsolute(values.get(i).number(), i < SIZE_A ? a[i] : b[i - SIZE_A], place);
    }
  }

  private void compareMask(Side side, JsonFile expected, String place) {
    float threshold = side.threshold().value();
    int differing = 0;
    int position = 0;
    for (String tensor : List.of("A", "B")) {
      float[] sensitivity = side.importance().sensitivity().download(tensor);
      float[] uncertainty = side.importance().uncertainty().download(tensor);
      for (int i = 0; i < sensitivity.length; i++) {
        boolean found = sensitivity[i] * uncertainty[i] > threshold;
        differing += found == (expected.elements().get(position++).whole() == 1) ? 0 : 1;
      }
    }
    masks.add(differing, place);
  }

  private final class Plan implements TaskPlan<Pull> {

    private final LearningRateSchedule schedule =
        new LearningRateSchedule.WarmupLinear(
            setup.at("lr").number(), setup.at("warmup").whole(), setup.at("max_steps").whole());
    private final int cycle = setup.at("Q").whole();
    private final int outerSteps = setup.at("M").whole();

    @Override
    public long updates() {
      return trace.stream().filter(event -> event.at("ev").text().equals("inner")).count();
    }

    @Override
    public Update<Pull> inner(long completed) {
      return new Update<>(
          List.of(new Pull(1, completed)), 1, schedule.at(completed), RandomKey.ofSeed(0));
    }

    @Override
    public boolean hasMemory() {
      return true;
    }

    @Override
    public Update<Pull> outer(long completed, int repeat) {
      return new Update<>(
          List.of(new Pull(2, (completed / cycle - 1) * outerSteps + repeat)),
          1f / setup.at("gas").whole(),
          schedule.at(completed),
          RandomKey.ofSeed(0));
    }
  }

  private record Quadratics(ParameterVector vector) implements Objective<Pull> {

    @Override
    public double gradient(Pull pull, RandomKey randomness, ParameterVector gradient) {
      return gradient("A", 0, pull, gradient) + gradient("B", 5, pull, gradient);
    }

    private double gradient(String tensor, int offset, Pull pull, ParameterVector gradient) {
      float[] w = vector.download(tensor);
      double[] g = new double[w.length];
      int k = pull.side() + offset;
      double loss = 0;
      for (int i = 0; i < w.length; i++) {
        double curvature = 1 + 0.5 * Math.sin(i * k + k);
        double target = 0.3 * Math.cos(i * (k + 1)) * (1 + 0.1 * pull.step());
        double distance = w[i] - target;
        loss += 0.5 * curvature * distance * distance;
        g[i] = curvature * distance;
      }
      gradient.upload(tensor, g);
      return loss;
    }

    @Override
    public void close() {}
  }
}
