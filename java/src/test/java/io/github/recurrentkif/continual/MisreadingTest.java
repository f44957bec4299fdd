package io.github.recurrentkif.continual;

import static io.github.recurrentkif.continual.QuadraticTrace.FAITHFUL;
import static io.github.recurrentkif.continual.QuadraticTrace.deviation;
import static io.github.recurrentkif.continual.QuadraticTrace.run;
import static io.github.recurrentkif.continual.QuadraticTrace.settings;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import io.github.recurrentkif.continual.QuadraticTrace.Entry;
import io.github.recurrentkif.continual.QuadraticTrace.Problem;
import io.github.recurrentkif.continual.QuadraticTrace.TracePlan;
import io.github.recurrentkif.continual.RecurrentKifSettings.OuterLoop;
import io.github.recurrentkif.kernels.AdamWStep;
import io.github.recurrentkif.kernels.Importance;
import io.github.recurrentkif.kernels.ImportanceRule;
import io.github.recurrentkif.kernels.ImportanceRule.Formula;
import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.kernels.MergeRule;
import io.github.recurrentkif.kernels.MergeRule.Coefficients;
import io.github.recurrentkif.kernels.Score;
import io.github.recurrentkif.kernels.Side;
import io.github.recurrentkif.kernels.reference.ReferenceKernels;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.training.LearningRateSchedule.WarmupLinear;
import io.github.recurrentkif.training.OptimizerSettings;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

/**
 * One thing read wrongly, and the run ends elsewhere: the truth is {@link WrittenOut} on a problem
 * large enough that no misreading hides behind equal masks.
 */
class MisreadingTest {

  /** Largest deviation of a float32 weight from float64; the faithful run ends within 1e-7. */
  private static final double TOLERANCE = 1e-6;

  private static final WrittenOut TRUTH = new WrittenOut(Problem.LARGER);

  @Test
  void ofNothingEndsAtTheTruthWithTheSameMasks() {
    List<Entry> entries = QuadraticTrace.faithful(Problem.LARGER, 4);
    var masks = entries.stream().filter(e -> e.event().equals("masks")).map(Entry::masks).toList();
    assertEquals(10, masks.size());
    assertEquals(TRUTH.innerMasks(), masks.stream().map(List::getFirst).toList());
    assertEquals(TRUTH.outerMasks(), masks.stream().map(List::getLast).toList());
    assertEquals(0, deviation(TRUTH.weights(), entries.getLast().weights()), TOLERANCE);
  }

  @TestFactory
  Stream<DynamicTest> leadsElsewhere() {
    Map<String, Supplier<List<Entry>>> runs = new LinkedHashMap<>();
    MergeRule rule = MergeRule.reference();
    OuterLoop shared = OuterLoop.SHARED_OPTIMIZER;
    runs.put("betas of the paper", () -> with(settings(0.55, 0.8, rule, shared)));
    runs.put("another quantile", () -> with(settings(0.85, 0.7, rule, shared)));
    runs.put(
        "outer loop without steps",
        () -> with(settings(0.85, 0.8, rule, OuterLoop.IMPORTANCE_ONLY)));
    runs.put("score without uncertainty", () -> with(merge(Score.SENSITIVITY, rule, true, false)));
    runs.put("inner importance kept", () -> with(merge(rule.score(), rule, false, false)));
    runs.put("outer importance reset", () -> with(merge(rule.score(), rule, true, true)));
    runs.put(
        "sum where both, nothing where neither",
        () ->
            with(
                settings(
                    0.85,
                    0.8,
                    coefficients(rule, new Coefficients(1, 1), new Coefficients(0, 0)),
                    shared)));
    runs.put(
        "0.4 and 0.6 where neither",
        () ->
            with(
                settings(
                    0.85,
                    0.8,
                    coefficients(
                        rule, MergeRule.referenceMasks().shared(), new Coefficients(0.4f, 0.6f)),
                    shared)));
    runs.put(
        "0.5 and 0.5 where both",
        () ->
            with(
                settings(
                    0.85,
                    0.8,
                    coefficients(
                        rule, new Coefficients(0.5f, 0.5f), MergeRule.referenceMasks().redundant()),
                    shared)));
    ImportanceRule first = FAITHFUL.innerRule();
    ImportanceRule quick = new ImportanceRule(Formula.FIRST_ORDER, 0.55, 0.55);
    runs.put(
        "betas of the paper for the new task only",
        () -> with(new RecurrentKifSettings(4, 2, 0.8, quick, first, rule, 0, shared)));
    runs.put(
        "betas of the paper for the history only",
        () -> with(new RecurrentKifSettings(4, 2, 0.8, first, quick, rule, 0, shared)));
    runs.put(
        "one outer step",
        () -> with(new RecurrentKifSettings(4, 1, 0.8, first, first, rule, 0, shared)));
    runs.put(
        "a longer cycle",
        () -> with(new RecurrentKifSettings(8, 2, 0.8, first, first, rule, 0, shared)));

    var schedule = Problem.LARGER.schedule();
    long updates = Problem.LARGER.updates();
    runs.put("outer loss not divided", () -> with(new TracePlan(updates, schedule, 1, 0, 1)));
    runs.put(
        "outer steps at the previous rate",
        () -> with(new TracePlan(updates, schedule, 0.25f, -1, 1)));
    runs.put(
        "decay from another total",
        () -> with(new TracePlan(updates, new WarmupLinear(1e-2, 3, 61), 0.25f, 0, 1)));

    runs.put(
        "no clipping",
        () -> with(new OptimizerSettings(0.9, 0.999, 1e-8, 0, Float.POSITIVE_INFINITY)));
    runs.put(
        "weight decay of AdamW's default",
        () -> with(new OptimizerSettings(0.9, 0.999, 1e-8, 1e-2, 1)));

    runs.put("importance from weights before the step", () -> with(BeforeTheStep::new));
    runs.put("importance from unclipped gradients", () -> with(UnclippedImportance::new));
    runs.put("own moments for the outer steps", () -> with(OwnOuterMoments::new));
    runs.put("new base forgotten", () -> with(ForgottenBase::new));
    runs.put(
        "new optimiser after each fusion",
        () ->
            run(
                Problem.LARGER,
                FAITHFUL,
                TracePlan.faithful(Problem.LARGER, 1),
                OptimizerSettings.reference(),
                new ReferenceKernels(),
                true));
    return runs.entrySet().stream()
        .map(
            wrong ->
                dynamicTest(
                    wrong.getKey(),
                    () -> {
                      double off =
                          deviation(TRUTH.weights(), wrong.getValue().get().getLast().weights());
                      assertTrue(off > 100 * TOLERANCE, "ends only " + off + " from the truth");
                    }));
  }

  private static MergeRule coefficients(MergeRule rule, Coefficients shared, Coefficients neither) {
    MergeRule.Masks masks = MergeRule.referenceMasks();
    return new MergeRule(
        rule.score(),
        new MergeRule.Masks(shared, masks.newOnly(), masks.oldOnly(), neither),
        true,
        false);
  }

  private static RecurrentKifSettings merge(
      Score score, MergeRule rule, boolean resetInner, boolean resetOuter) {
    return settings(
        0.85,
        0.8,
        new MergeRule(score, rule.weighting(), resetInner, resetOuter),
        OuterLoop.SHARED_OPTIMIZER);
  }

  private static List<Entry> with(RecurrentKifSettings settings) {
    return run(
        Problem.LARGER,
        settings,
        TracePlan.faithful(Problem.LARGER, 1),
        OptimizerSettings.reference(),
        new ReferenceKernels(),
        false);
  }

  private static List<Entry> with(TracePlan plan) {
    return run(
        Problem.LARGER,
        FAITHFUL,
        plan,
        OptimizerSettings.reference(),
        new ReferenceKernels(),
        false);
  }

  private static List<Entry> with(OptimizerSettings optimizer) {
    return run(
        Problem.LARGER,
        FAITHFUL,
        TracePlan.faithful(Problem.LARGER, 1),
        optimizer,
        new ReferenceKernels(),
        false);
  }

  private static List<Entry> with(UnaryOperator<Kernels> mistake) {
    return run(
        Problem.LARGER,
        FAITHFUL,
        TracePlan.faithful(Problem.LARGER, 1),
        OptimizerSettings.reference(),
        mistake.apply(new ReferenceKernels()),
        false);
  }

  private static final class BeforeTheStep extends ForwardingKernels {

    BeforeTheStep(Kernels kernels) {
      super(kernels);
    }

    @Override
    public void adamWWithImportance(
        ParameterVector weights,
        ParameterVector gradient,
        ParameterVector firstMoment,
        ParameterVector secondMoment,
        float clip,
        AdamWStep step,
        Importance importance,
        ImportanceRule rule) {
      importance(weights, gradient, clip, importance, rule);
      adamW(weights, gradient, firstMoment, secondMoment, clip, step);
    }
  }

  private static final class UnclippedImportance extends ForwardingKernels {

    UnclippedImportance(Kernels kernels) {
      super(kernels);
    }

    @Override
    public void adamWWithImportance(
        ParameterVector weights,
        ParameterVector gradient,
        ParameterVector firstMoment,
        ParameterVector secondMoment,
        float clip,
        AdamWStep step,
        Importance importance,
        ImportanceRule rule) {
      adamW(weights, gradient, firstMoment, secondMoment, clip, step);
      importance(weights, gradient, 1, importance, rule);
    }
  }

  /** Knows an outer step by its importance not being the first it ever saw. */
  private static final class OwnOuterMoments extends ForwardingKernels {

    private final List<Importance> seen = new ArrayList<>();
    private final List<ParameterVector> own = new ArrayList<>();

    OwnOuterMoments(Kernels kernels) {
      super(kernels);
    }

    @Override
    public void adamWWithImportance(
        ParameterVector weights,
        ParameterVector gradient,
        ParameterVector firstMoment,
        ParameterVector secondMoment,
        float clip,
        AdamWStep step,
        Importance importance,
        ImportanceRule rule) {
      if (seen.isEmpty()) {
        seen.add(importance);
        own.add(new ParameterVector(weights.layout(), device()));
        own.add(new ParameterVector(weights.layout(), device()));
      }
      boolean outer = !importance.equals(seen.getFirst());
      super.adamWWithImportance(
          weights,
          gradient,
          outer ? own.getFirst() : firstMoment,
          outer ? own.getLast() : secondMoment,
          clip,
          step,
          importance,
          rule);
    }
  }

  private static final class ForgottenBase extends ForwardingKernels {

    ForgottenBase(Kernels kernels) {
      super(kernels);
    }

    @Override
    public void merge(
        ParameterVector weights,
        ParameterVector base,
        ParameterVector snapshot,
        Side inner,
        Side outer,
        MergeRule rule) {
      try (var before = new ParameterVector(base.layout(), device())) {
        copy(base, before);
        super.merge(weights, base, snapshot, inner, outer, rule);
        // The first fusion's new base: the second then starts from the wrong place.
        copy(before, base);
      }
    }
  }
}
