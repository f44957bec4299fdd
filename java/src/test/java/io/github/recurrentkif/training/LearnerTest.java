package io.github.recurrentkif.training;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.kernels.Importance;
import io.github.recurrentkif.kernels.ImportanceRule;
import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.kernels.RandomKey;
import io.github.recurrentkif.kernels.reference.ReferenceKernels;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.memory.Shape;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class LearnerTest {

  private static final ImportanceRule RULE =
      new ImportanceRule(ImportanceRule.Formula.FIRST_ORDER, 0.85, 0.85);
  private static final float[] START = {0.5f, -0.25f, 2};

  private final Kernels kernels = new ReferenceKernels();
  private final ParameterLayout layout =
      ParameterLayout.of(new LinkedHashMap<>(Map.of("w", Shape.of(3))));
  private final ParameterVector weights = new ParameterVector(layout, kernels.device());
  private final Importance importance = Importance.zero(layout, kernels.device());
  private final GradientsAsGiven objective = new GradientsAsGiven();
  private final Learner<float[]> learner =
      new Learner<>(weights, kernels, objective, OptimizerSettings.reference());

  LearnerTest() {
    weights.upload("w", MemorySegment.ofArray(START));
  }

  @AfterEach
  void free() {
    learner.close();
    importance.close();
    weights.close();
  }

  /** Whose batches are their own gradients, and whose loss is the first of them. */
  private static final class GradientsAsGiven implements Objective<float[]> {

    final List<RandomKey> keys = new ArrayList<>();

    @Override
    public double gradient(float[] batch, RandomKey randomness, ParameterVector gradient) {
      keys.add(randomness);
      gradient.upload("w", MemorySegment.ofArray(batch));
      return batch[0];
    }

    @Override
    public void close() {}
  }

  private static Update<float[]> update(float scale, double learningRate, float[]... batches) {
    return new Update<>(List.of(batches), scale, learningRate, RandomKey.ofSeed(7));
  }

  private float[] weights() {
    return weights.download("w");
  }

  private float[] vector(String name) {
    ParameterVector vector = learner.vectors().get(name);
    assertTrue(vector != null, name);
    return vector.download("w");
  }

  @Test
  void takesTheStepOfAdamWOnTheClippedSumOfScaledGradients() {
    Outcome outcome =
        learner.update(update(0.5f, 0.1, new float[] {4, 0, 0}, new float[] {2, 0, 8}));
    // The sum is (3, 0, 4), its norm 5.
    assertEquals(5, outcome.gradientNorm());
    assertEquals(List.of(4.0, 2.0), outcome.losses());
    assertEquals(3, outcome.meanLoss());
    assertEquals(0.1, outcome.learningRate());
    assertFalse(outcome.refused());
    assertArrayEquals(new float[] {0.06f, 0, 0.08f}, vector("adam.first"), 1e-7f);
    assertArrayEquals(new float[] {3.6e-4f, 0, 6.4e-4f}, vector("adam.second"), 1e-9f);
    // The first step of Adam is the learning rate, in the direction of the gradient's signs.
    assertArrayEquals(new float[] {0.4f, -0.25f, 1.9f}, weights(), 1e-6f);
    assertEquals(1, learner.counters().get("adam.step"));
  }

  @Test
  void addsNothingWhereOneUnscaledMicroBatchIsTheWholeUpdate() {
    Outcome one = learner.update(update(1, 0.1, new float[] {0.3f, 0.1f, -0.2f}));
    float[] after = weights();
    weights.upload("w", MemorySegment.ofArray(START));
    learner.newTask();
    Outcome halves =
        learner.update(
            update(0.5f, 0.1, new float[] {0.3f, 0.1f, -0.2f}, new float[] {0.3f, 0.1f, -0.2f}));
    assertEquals(one.gradientNorm(), halves.gradientNorm());
    assertArrayEquals(after, weights());
  }

  @Test
  void takesImportanceFromTheNewWeightsAndTheClippedOldGradient() {
    learner.update(update(1, 0.1, new float[] {3, 0, 4}), importance, RULE);
    float[] sensitivity = importance.sensitivity().download("w");
    float[] clipped = {3 * 0.2f, 0, 4 * 0.2f};
    for (int i = 0; i < 3; i++) {
      assertEquals(0.15f * Math.abs(weights()[i] * clipped[i]), sensitivity[i], 1e-6f);
    }
    assertEquals(0.15f * 0.4f * 0.6f, sensitivity[0], 1e-6f);
  }

  @Test
  void estimatesWithoutMovingAnything() {
    learner.update(update(1, 0.1, new float[] {1, 2, 3}));
    float[] before = weights();
    float[] first = vector("adam.first");
    Outcome outcome = learner.estimate(update(1, 0.1, new float[] {3, 0, 4}), importance, RULE);
    assertEquals(5, outcome.gradientNorm());
    assertArrayEquals(before, weights());
    assertArrayEquals(first, vector("adam.first"));
    assertEquals(1, learner.counters().get("adam.step"));
    assertEquals(0.15f * before[0] * 0.6f, importance.sensitivity().download("w")[0], 1e-6f);
  }

  @ParameterizedTest
  @ValueSource(floats = {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY, 3e38f})
  void refusesAGradientWhoseNormIsNotFinite(float poison) {
    learner.update(update(1, 0.1, new float[] {1, 2, 3}), importance, RULE);
    List<float[]> before = state();
    Update<float[]> poisoned =
        update(
            1, 0.1, new float[] {1, 1, 1}, new float[] {poison, 0, poison}, new float[] {1, 1, 1});

    Outcome outcome = learner.update(poisoned, importance, RULE);

    assertTrue(outcome.refused());
    assertFalse(Float.isFinite(outcome.gradientNorm()));
    assertEquals(3, outcome.losses().size());
    assertTrue(learner.update(poisoned).refused());
    assertTrue(learner.estimate(poisoned, importance, RULE).refused());
    List<float[]> after = state();
    for (int i = 0; i < before.size(); i++) {
      assertArrayEquals(before.get(i), after.get(i));
    }
    assertEquals(3, learner.refusedUpdates());
    assertEquals(Map.of("adam.step", 1L, "refused", 3L), learner.counters());

    // And the next healthy update is not harmed by it.
    assertFalse(learner.update(update(1, 0.1, new float[] {1, 2, 3}), importance, RULE).refused());
    assertNotEquals(before.getFirst()[0], weights()[0]);
    assertEquals(2, learner.counters().get("adam.step"));
  }

  private List<float[]> state() {
    List<float[]> state = new ArrayList<>();
    learner.vectors().values().forEach(vector -> state.add(vector.download("w")));
    state.add(importance.sensitivity().download("w"));
    state.add(importance.uncertainty().download("w"));
    return state;
  }

  @Test
  void givesEachMicroBatchItsOwnRandomness() {
    learner.update(update(0.5f, 0.1, new float[3], new float[3]));
    assertEquals(List.of(RandomKey.ofSeed(7).at(0), RandomKey.ofSeed(7).at(1)), objective.keys);
  }

  @Test
  void beginsANewTaskWithANewOptimiserAndTheOldWeights() {
    learner.update(update(1, 0.1, new float[] {1, 2, 3}));
    float[] carried = weights();
    learner.newTask();
    assertArrayEquals(new float[3], vector("adam.first"));
    assertArrayEquals(new float[3], vector("adam.second"));
    assertEquals(0, learner.counters().get("adam.step"));
    assertArrayEquals(carried, weights());
  }

  @Test
  void goesOnFromRestoredCounters() {
    learner.restore(Map.of("adam.step", 41L, "refused", 2L));
    learner.update(update(1, 0.1, new float[] {1, 2, 3}));
    assertEquals(Map.of("adam.step", 42L, "refused", 2L), learner.counters());
  }

  @Test
  void refusesTheCountersOfSomethingElse() {
    var missing =
        assertThrows(
            IllegalArgumentException.class, () -> learner.restore(Map.of("adam.step", 1L)));
    assertTrue(String.valueOf(missing.getMessage()).contains("refused"), missing.toString());
  }

  @Test
  void clipsAsTorchDoes() {
    OptimizerSettings settings = OptimizerSettings.reference();
    assertEquals(1f, settings.clip(0));
    assertEquals(1f, settings.clip(0.999998f));
    assertEquals(
        1 / (1 + 1e-6f), settings.clip(1), "a norm of exactly 1 is clipped by the epsilon");
    assertEquals(0.2f, settings.clip(5), 1e-6f);
    var unclipped = new OptimizerSettings(0.9, 0.999, 1e-8, 0, Float.POSITIVE_INFINITY);
    assertEquals(1f, unclipped.clip(1e30f));
  }

  @Test
  void refusesAnUpdateOfNothing() {
    assertThrows(IllegalArgumentException.class, () -> update(1, 0.1));
  }
}
