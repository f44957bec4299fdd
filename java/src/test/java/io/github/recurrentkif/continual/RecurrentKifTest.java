package io.github.recurrentkif.continual;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.continual.LearningEvent.AfterFusion;
import io.github.recurrentkif.continual.LearningEvent.AfterInner;
import io.github.recurrentkif.continual.LearningEvent.AfterOuter;
import io.github.recurrentkif.continual.LearningEvent.BeforeMerge;
import io.github.recurrentkif.continual.RecurrentKifSettings.OuterLoop;
import io.github.recurrentkif.continual.SampledPlan.Samples;
import io.github.recurrentkif.continual.SampledPlan.Sampling;
import io.github.recurrentkif.kernels.ImportanceRule;
import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.kernels.MergeRule;
import io.github.recurrentkif.kernels.RandomKey;
import io.github.recurrentkif.kernels.Score;
import io.github.recurrentkif.kernels.reference.ReferenceKernels;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.memory.Shape;
import io.github.recurrentkif.training.Learner;
import io.github.recurrentkif.training.LearningRateSchedule.WarmupLinear;
import io.github.recurrentkif.training.Objective;
import io.github.recurrentkif.training.OptimizerSettings;
import io.github.recurrentkif.training.Resumable;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class RecurrentKifTest {

  private static final int PARAMETERS = 37;
  private static final Kernels KERNELS = new ReferenceKernels();
  private static final ParameterLayout LAYOUT =
      ParameterLayout.of(new LinkedHashMap<>(Map.of("w", Shape.of(PARAMETERS))));

  /**
   * Pulls each weight to where the batch's samples want it, with noise from the pass's key in place
   * of dropout. The samples named by {@code poison} have no gradient.
   */
  private record Pulls(ParameterVector weights, int poison) implements Objective<int[]> {

    @Override
    public double gradient(int[] samples, RandomKey randomness, ParameterVector gradient) {
      float[] w = weights.download("w");
      float[] g = new float[w.length];
      double loss = 0;
      for (int i = 0; i < w.length; i++) {
        float noise = (randomness.at(i).bits() & 0xFF) / 2560f;
        for (int sample : samples) {
          float distance = w[i] - (float) Math.sin(sample * 0.7 + i) + noise;
          loss += distance * distance;
          g[i] += sample == poison ? Float.NaN : distance / samples.length;
        }
      }
      gradient.upload("w", MemorySegment.ofArray(g));
      return loss;
    }

    @Override
    public void close() {}
  }

  /** A method with a learner of its own, at the same weights as every other one. */
  private static final class Run implements AutoCloseable {

    final ParameterVector weights = new ParameterVector(LAYOUT, KERNELS.device());
    final ContinualMethod<int[]> method;
    final Learner<int[]> learner;
    final List<LearningEvent> events = new ArrayList<>();

    Run(ContinualMethod<int[]> method, int poison) {
      float[] start = new float[PARAMETERS];
      for (int i = 0; i < PARAMETERS; i++) {
        start[i] = (float) Math.cos(i);
      }
      weights.upload("w", MemorySegment.ofArray(start));
      this.method = method;
      this.learner =
          new Learner<>(
              weights, KERNELS, new Pulls(weights, poison), OptimizerSettings.reference());
    }

    Run(ContinualMethod<int[]> method) {
      this(method, -1);
    }

    long learn(TaskPlan<int[]> plan, long completed, long stop, Consumer<LearningEvent> watcher) {
      return method.learn(
          plan,
          completed,
          learner,
          new Observer() {
            @Override
            public void on(LearningEvent event) {
              events.add(event);
              watcher.accept(event);
            }

            @Override
            public boolean stopsAfter(long done) {
              return done == stop;
            }
          });
    }

    void task(TaskPlan<int[]> plan) {
      task(plan, event -> {});
    }

    void task(TaskPlan<int[]> plan, Consumer<LearningEvent> watcher) {
      method.beginTask(0, learner);
      assertEquals(plan.updates(), learn(plan, 0, -1, watcher));
    }

    long count(Class<? extends LearningEvent> kind) {
      return events.stream().filter(kind::isInstance).count();
    }

    float[] weights() {
      return weights.download("w");
    }

    /** Everything a checkpoint would hold. */
    Map<String, float[]> saved() {
      Map<String, float[]> saved = new LinkedHashMap<>();
      for (Resumable part : List.of(learner, method)) {
        part.vectors().forEach((name, vector) -> saved.put(name, vector.download("w")));
        part.counters().forEach((name, count) -> saved.put(name, new float[] {count}));
      }
      return saved;
    }

    void restore(Map<String, float[]> saved, Map<String, Long> counters) {
      for (Resumable part : List.of(learner, method)) {
        part.vectors()
            .forEach((name, vector) -> vector.upload("w", MemorySegment.ofArray(saved.get(name))));
      }
      learner.restore(counters);
      method.restore(Map.of());
    }

    @Override
    public void close() {
      method.close();
      learner.close();
      weights.close();
    }
  }

  /** 12 samples, 6 micro-batches an epoch, an update every 2: three updates in each epoch. */
  private static SampledPlan<int[]> plan(int epochs, int memory, long task) {
    Sampling sampling = Sampling.reference(epochs, 2, 2, 3);
    return new SampledPlan<>(
        0,
        sampling,
        new Samples<>(12, numbers -> numbers),
        memory == 0 ? null : new Samples<>(memory, RecurrentKifTest::remembered),
        new WarmupLinear(0.05, 2, sampling.updates(12)),
        new WarmupLinear(0.05, 2, sampling.updates(12)),
        RandomKey.ofSeed(5).at(task));
  }

  /** Remembered samples have numbers from 100. */
  private static int[] remembered(int[] numbers) {
    int[] samples = numbers.clone();
    for (int i = 0; i < samples.length; i++) {
      samples[i] += 100;
    }
    return samples;
  }

  private static RecurrentKifSettings settings(OuterLoop outerLoop) {
    return settings(MergeRule.reference(), 0, outerLoop);
  }

  private static RecurrentKifSettings settings(
      MergeRule merge, int historyEstimates, OuterLoop outerLoop) {
    ImportanceRule rule = RecurrentKifSettings.reference().innerRule();
    return new RecurrentKifSettings(4, 2, 0.8, rule, rule, merge, historyEstimates, outerLoop);
  }

  private static RecurrentKif<int[]> recurrentKif() {
    return new RecurrentKif<>(settings(OuterLoop.SHARED_OPTIMIZER), LAYOUT, KERNELS);
  }

  private static void assertSame(Map<String, float[]> expected, Map<String, float[]> actual) {
    assertEquals(expected.keySet(), actual.keySet());
    expected.forEach((name, values) -> assertArrayEquals(values, actual.get(name), name));
  }

  @Test
  void goesOnToTheSameBitsFromWhereverItWasStopped() {
    // 15 updates: fusions after 4, 8 and 12, then three that stay unfused.
    try (Run whole = new Run(recurrentKif())) {
      whole.task(plan(5, 0, 0));
      whole.task(plan(5, 5, 1));
      for (long stop = 1; stop <= 15; stop++) {
        try (Run first = new Run(recurrentKif());
            Run second = new Run(recurrentKif())) {
          first.task(plan(5, 0, 0));
          first.method.beginTask(0, first.learner);
          assertEquals(stop, first.learn(plan(5, 5, 1), 0, stop, event -> {}));
          second.restore(first.saved(), first.learner.counters());
          assertEquals(15, second.learn(plan(5, 5, 1), stop, -1, event -> {}));
          assertSame(whole.saved(), second.saved());
        }
      }
    }
  }

  @Test
  void noticesEveryVectorThatACheckpointWouldForget() {
    // Stopped after 6 updates, in the middle of a cycle: nothing of the state may be left out.
    try (Run first = new Run(recurrentKif())) {
      first.method.beginTask(0, first.learner);
      first.learn(plan(5, 5, 1), 0, 6, event -> {});
      Map<String, float[]> saved = first.saved();
      assertEquals(
          List.of(
              "weights",
              "adam.first",
              "adam.second",
              "adam.step",
              "refused",
              "base",
              "inner.sensitivity",
              "inner.uncertainty",
              "outer.sensitivity",
              "outer.uncertainty"),
          List.copyOf(saved.keySet()));
      Map<String, Long> counters = first.learner.counters();
      List<Float> whole = rest(saved, counters);
      assertEquals(whole, rest(saved, counters));
      for (String name : saved.keySet()) {
        Map<String, float[]> incomplete = new LinkedHashMap<>(saved);
        Map<String, Long> fewer = new LinkedHashMap<>(counters);
        if (fewer.containsKey(name)) {
          fewer.put(name, 17L);
        } else {
          incomplete.put(name, new float[PARAMETERS]);
        }
        assertNotEquals(whole, rest(incomplete, fewer), "without " + name);
      }
    }
  }

  /** What follows update 6: every threshold, the last weights, the refused updates. */
  private static List<Float> rest(Map<String, float[]> saved, Map<String, Long> counters) {
    List<Float> numbers = new ArrayList<>();
    try (Run run = new Run(recurrentKif())) {
      run.restore(saved, counters);
      run.learn(
          plan(5, 5, 1),
          6,
          -1,
          event -> {
            if (event instanceof BeforeMerge merge) {
              numbers.add(merge.inner().threshold().value());
              numbers.add(merge.outer().threshold().value());
            }
          });
      for (float weight : run.weights()) {
        numbers.add(weight);
      }
      numbers.add((float) run.learner.refusedUpdates());
    }
    return numbers;
  }

  @Test
  void stopsOnlyWhereTheFusionIsDone() {
    try (Run run = new Run(recurrentKif())) {
      run.method.beginTask(0, run.learner);
      run.learn(plan(5, 5, 1), 0, 4, event -> {});
      assertTrue(run.events.getLast() instanceof AfterFusion);
      assertEquals(1, run.count(AfterFusion.class));
    }
  }

  @Test
  void learnsTheFirstTaskAsSequentialLoraDoes() {
    try (Run kif = new Run(recurrentKif());
        Run sequential = new Run(new SequentialLora<>());
        Run replay = new Run(new LoraReplay<>())) {
      kif.task(plan(4, 0, 0));
      sequential.task(plan(4, 0, 0));
      replay.task(plan(4, 0, 0));
      assertArrayEquals(sequential.weights(), kif.weights());
      assertArrayEquals(sequential.weights(), replay.weights());
      assertEquals(12, kif.count(AfterInner.class));
      assertEquals(12, kif.events.size(), "no outer step, no fusion");
      float[] zeros = new float[PARAMETERS];
      assertArrayEquals(zeros, kif.saved().get("inner.sensitivity"));
      assertArrayEquals(zeros, kif.saved().get("outer.sensitivity"));

      // With memory the three part.
      kif.task(plan(4, 5, 1));
      sequential.task(plan(4, 5, 1));
      assertFalse(Arrays.equals(sequential.weights(), kif.weights()));
    }
  }

  @Test
  void asksForTheMemoryItNeeds() {
    try (Run kif = new Run(recurrentKif());
        Run sequential = new Run(new SequentialLora<>());
        Run replay = new Run(new LoraReplay<>())) {
      assertEquals(MemoryUse.REPLAYED, kif.method.memoryUse());
      assertEquals(MemoryUse.NONE, sequential.method.memoryUse());
      assertEquals(MemoryUse.MIXED, replay.method.memoryUse());
    }
  }

  @Test
  void leavesTheUpdatesAfterTheLastCycleUnfused() {
    try (Run run = new Run(recurrentKif())) {
      run.task(plan(5, 5, 1));
      assertEquals(15, run.count(AfterInner.class));
      assertEquals(6, run.count(AfterOuter.class));
      assertEquals(3, run.count(BeforeMerge.class));
      List<Long> fusions =
          run.events.stream()
              .filter(AfterFusion.class::isInstance)
              .map(LearningEvent::completed)
              .toList();
      assertEquals(List.of(4L, 8L, 12L), fusions);
      assertFalse(
          Arrays.equals(run.weights(), run.saved().get("base")),
          "three updates beyond the last base");
    }
  }

  @Test
  void fusesOnceMoreWhereATaskEndsWithAFullCycle() {
    // Updates 9 to 12 are the last cycle; the outer steps after update 12 have rate zero.
    try (Run run = new Run(recurrentKif())) {
      List<float[]> outerBefore = new ArrayList<>();
      List<float[]> ends = new ArrayList<>();
      run.task(
          plan(4, 5, 1),
          event -> {
            if (event.completed() < 12) {
              return;
            }
            switch (event) {
              case AfterInner _ -> {
                outerBefore.add(run.saved().get("outer.sensitivity"));
                ends.add(run.weights());
              }
              case AfterOuter outer -> assertEquals(0, outer.outcome().learningRate());
              case BeforeMerge merge -> {
                assertArrayEquals(ends.getFirst(), run.weights(), "no outer task vector");
                assertArrayEquals(ends.getFirst(), merge.snapshot().download("w"));
                assertFalse(
                    Arrays.equals(
                        outerBefore.getFirst(),
                        merge.outer().importance().sensitivity().download("w")),
                    "and yet the importance to the history moved");
                ends.add(merge.base().download("w"));
              }
              case AfterFusion _ -> ends.add(run.weights());
            }
          });
      assertEquals(3, run.count(AfterFusion.class));
      float[] end = ends.get(0);
      float[] base = ends.get(1);
      float[] fused = ends.get(2);
      int shrunk = 0;
      for (int i = 0; i < PARAMETERS; i++) {
        assertTrue(
            Math.abs(fused[i] - base[i]) <= Math.abs(end[i] - base[i]) + 1e-7, "never grows");
        shrunk += Math.abs(fused[i] - base[i]) < 0.75 * Math.abs(end[i] - base[i]) ? 1 : 0;
      }
      assertTrue(shrunk > PARAMETERS / 2, "most are redundant and halved: " + shrunk);
    }
  }

  @Test
  void resetsTheInnerImportanceWithEachFusionAndTheOuterWithEachTask() {
    try (Run run = new Run(recurrentKif())) {
      float[] zeros = new float[PARAMETERS];
      run.task(
          plan(4, 5, 1),
          event -> {
            if (event instanceof AfterFusion) {
              assertArrayEquals(zeros, run.saved().get("inner.sensitivity"));
              assertArrayEquals(zeros, run.saved().get("inner.uncertainty"));
              assertFalse(Arrays.equals(zeros, run.saved().get("outer.sensitivity")));
              assertArrayEquals(run.weights(), run.saved().get("base"));
            }
          });
      run.method.beginTask(0, run.learner);
      for (String name :
          List.of(
              "inner.sensitivity", "inner.uncertainty", "outer.sensitivity", "outer.uncertainty")) {
        assertArrayEquals(zeros, run.saved().get(name), name);
      }
      assertArrayEquals(zeros, run.saved().get("adam.first"));
      assertArrayEquals(run.weights(), run.saved().get("base"));
    }
  }

  @Test
  void tellsOfEachMergeWhileItsImportancesAreStillThere() {
    try (Run run = new Run(recurrentKif())) {
      run.task(
          plan(4, 5, 1),
          event -> {
            if (event instanceof BeforeMerge merge) {
              // Without ties: 37 - 1 - floor(0.8 * 36) ones in each mask.
              var counts = merge.maskCounts();
              assertEquals(8, counts.shared() + counts.newOnly());
              assertEquals(8, counts.shared() + counts.oldOnly());
              assertEquals(PARAMETERS, counts.elements());
              assertTrue(merge.inner().threshold().value() > 0);
              assertTrue(merge.outer().threshold().value() > 0);
            }
          });
      assertEquals(3, run.count(BeforeMerge.class));
    }
  }

  @Test
  void goesOnFromWhereAnObserverPutsItAfterAFusion() {
    try (Run plain = new Run(recurrentKif());
        Run moved = new Run(recurrentKif());
        Run again = new Run(recurrentKif())) {
      plain.task(plan(5, 5, 1));
      float[] elsewhere = new float[PARAMETERS];
      elsewhere[3] = 1;
      Consumer<LearningEvent> mover =
          event -> {
            if (event instanceof AfterFusion fusion && fusion.completed() == 12) {
              fusion.weights().upload("w", MemorySegment.ofArray(elsewhere));
              fusion.base().upload("w", MemorySegment.ofArray(elsewhere));
            }
          };
      moved.task(plan(5, 5, 1), mover);
      again.task(plan(5, 5, 1), mover);
      assertArrayEquals(elsewhere, moved.saved().get("base"));
      assertFalse(Arrays.equals(plain.weights(), moved.weights()));
      assertSame(moved.saved(), again.saved());
    }
  }

  @ParameterizedTest(name = "sample {0}")
  @ValueSource(ints = {3, 102})
  void countsRefusedUpdatesAndGoesOn(int poison) {
    try (Run run = new Run(recurrentKif(), poison)) {
      Map<String, float[]> before = new LinkedHashMap<>();
      run.method.beginTask(0, run.learner);
      before.putAll(run.saved());
      int[] refused = {0};
      run.learn(
          plan(4, 5, 1),
          0,
          -1,
          event -> {
            boolean refusal =
                switch (event) {
                  case AfterInner inner -> inner.outcome().refused();
                  case AfterOuter outer -> outer.outcome().refused();
                  case BeforeMerge _, AfterFusion _ -> false;
                };
            Map<String, float[]> after = run.saved();
            if (refusal) {
              refused[0]++;
              before.put("refused", new float[] {refused[0]});
              assertSame(before, after);
            }
            before.putAll(after);
          });
      assertTrue(refused[0] > 0);
      assertEquals(refused[0], run.learner.refusedUpdates());
      // 12 inner and 6 outer updates, less those refused.
      assertEquals(18 - refused[0], run.learner.counters().get("adam.step"));
      assertEquals(3, run.count(AfterFusion.class), "the cycles keep their places");
      for (float weight : run.weights()) {
        assertTrue(Float.isFinite(weight));
      }
    }
  }

  @Test
  void onlyEstimatesInTheOuterLoopOfTheReleasedLlamaTraining() {
    try (Run run =
        new Run(new RecurrentKif<>(settings(OuterLoop.IMPORTANCE_ONLY), LAYOUT, KERNELS))) {
      run.task(
          plan(4, 5, 1),
          event -> {
            if (event instanceof BeforeMerge merge) {
              assertArrayEquals(merge.snapshot().download("w"), run.weights());
              assertTrue(merge.outer().threshold().value() > 0);
            }
          });
      assertEquals(12, run.learner.counters().get("adam.step"));
      assertEquals(6, run.count(AfterOuter.class));
      assertEquals(3, run.count(AfterFusion.class));
    }
  }

  @Test
  void hasTheConstantsOfTheReleaseAndOfThePaper() {
    RecurrentKifSettings reference = RecurrentKifSettings.reference();
    assertEquals(8, reference.cycleLength());
    assertEquals(4, reference.outerSteps());
    assertEquals(0.85, reference.outerRule().beta1());
    assertEquals(Score.SENSITIVITY_TIMES_UNCERTAINTY, reference.merge().score());
    assertEquals(OuterLoop.IMPORTANCE_ONLY, RecurrentKifSettings.referenceLlama().outerLoop());
    assertEquals(reference.merge(), RecurrentKifSettings.referenceLlama().merge());
    RecurrentKifSettings paper = RecurrentKifSettings.paper();
    assertEquals(0.55, paper.innerRule().beta1());
    assertEquals(0.55, paper.outerRule().beta1());
    assertEquals(MergeRule.paper(), paper.merge());
  }

  /** The sensitivity to the history before each merge of the second task. */
  private static List<float[]> historyOfSecondTask(int historyEstimates) {
    RecurrentKifSettings settings =
        settings(MergeRule.reference(), historyEstimates, OuterLoop.SHARED_OPTIMIZER);
    List<float[]> history = new ArrayList<>();
    try (Run run = new Run(new RecurrentKif<>(settings, LAYOUT, KERNELS))) {
      run.task(plan(4, 0, 1));
      run.task(
          plan(4, 5, 2),
          event -> {
            if (event instanceof BeforeMerge merge) {
              history.add(merge.outer().importance().sensitivity().download("w"));
            }
          });
    }
    return history;
  }

  @Test
  void estimatesTheHistoryOnceWhereAskedTo() {
    List<float[]> anew = historyOfSecondTask(0);
    List<float[]> once = historyOfSecondTask(3);
    assertEquals(3, once.size());
    assertFalse(Arrays.equals(anew.get(0), anew.get(1)));
    assertFalse(Arrays.equals(new float[PARAMETERS], once.getFirst()));
    once.forEach(history -> assertArrayEquals(once.getFirst(), history));
    assertFalse(Arrays.equals(historyOfSecondTask(2).getFirst(), once.getFirst()));
  }

  @Test
  void withoutIdentificationBothTaskVectorsStay() {
    MergeRule.Coefficients both = new MergeRule.Coefficients(1, 1);
    MergeRule sum =
        new MergeRule(
            MergeRule.reference().score(),
            new MergeRule.Masks(both, both, both, both),
            true,
            false);
    List<float[]> before = new ArrayList<>();
    List<float[]> after = new ArrayList<>();
    try (Run run =
        new Run(
            new RecurrentKif<>(settings(sum, 0, OuterLoop.SHARED_OPTIMIZER), LAYOUT, KERNELS))) {
      run.task(
          plan(4, 5, 1),
          event -> {
            switch (event) {
              case BeforeMerge merge -> before.add(merge.weights().download("w"));
              case AfterFusion fused -> after.add(fused.weights().download("w"));
              default -> {}
            }
          });
    }
    assertEquals(3, after.size());
    for (int i = 0; i < after.size(); i++) {
      assertArrayEquals(before.get(i), after.get(i), 1e-6f);
    }
  }

  @ParameterizedTest
  @EnumSource(OuterLoop.class)
  void refusesSettingsThatMakeNoSense(OuterLoop outerLoop) {
    ImportanceRule rule = RecurrentKifSettings.reference().innerRule();
    MergeRule merge = MergeRule.reference();
    assertThrows(
        IllegalArgumentException.class,
        () -> new RecurrentKifSettings(0, 4, 0.8, rule, rule, merge, 0, outerLoop));
    assertThrows(
        IllegalArgumentException.class,
        () -> new RecurrentKifSettings(8, 0, 0.8, rule, rule, merge, 0, outerLoop));
    assertThrows(
        IllegalArgumentException.class,
        () -> new RecurrentKifSettings(8, 4, 1.2, rule, rule, merge, 0, outerLoop));
    assertThrows(
        IllegalArgumentException.class,
        () -> new RecurrentKifSettings(8, 4, 0.8, rule, rule, merge, 1, OuterLoop.IMPORTANCE_ONLY));
  }
}
