package io.github.recurrentkif.kernels.reference;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.kernels.DropoutMask;
import io.github.recurrentkif.kernels.ImportanceRule;
import io.github.recurrentkif.kernels.ImportanceRule.Formula;
import io.github.recurrentkif.kernels.MaskCounts;
import io.github.recurrentkif.kernels.MergeRule;
import io.github.recurrentkif.kernels.Operations;
import io.github.recurrentkif.kernels.RandomKey;
import io.github.recurrentkif.kernels.Score;
import io.github.recurrentkif.kernels.Side;
import io.github.recurrentkif.kernels.Sizes;
import io.github.recurrentkif.kernels.Workspace;
import io.github.recurrentkif.kernels.Workspace.Values;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.memory.ParameterVector;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** The specification itself, against formulas written another way and against chosen numbers. */
class ReferenceKernelsTest {

  private static final float MINUS_ZERO = -0f;
  private static final float INFINITY = Float.POSITIVE_INFINITY;

  private final ReferenceKernels kernels = new ReferenceKernels();

  @Test
  void aThresholdIsTheInterpolatedElementOfTheSortedScores() {
    for (Values values : new Values[] {Values.ORDINARY, Values.TIES, Values.DENORMAL}) {
      for (Sizes.Size size : Sizes.all()) {
        ParameterLayout layout = Workspace.layoutOf(size.elements());
        if (size.elements() == 0 || size.elements() > 10_000) {
          continue;
        }
        try (Workspace space = Workspace.random(layout, values, size.elements())) {
          float[] sorted = scores(space);
          Arrays.sort(sorted);
          for (double q : new double[] {0, 0.2, 0.5, 0.8, 0.97, 1}) {
            float found = threshold(space, Score.SENSITIVITY_TIMES_UNCERTAINTY, q);
            float rank = (float) q * (sorted.length - 1);
            float a = sorted[(int) Math.floor(rank)];
            float b = sorted[(int) Math.ceil(rank)];
            float f = rank - (float) Math.floor(rank);
            float expected = f < 0.5f ? a + f * (b - a) : b - (b - a) * (1 - f);
            assertEquals(expected + 0f, found, values + " " + size);
          }
        }
      }
    }
  }

  @Test
  void paddingTakesNoPartInAThreshold() {
    // 17 + 3 elements, all of them 1, and 12 of padding: a median that saw it would be 1 as well,
    // the smallest element would not.
    ParameterLayout layout = Workspace.layoutOf(20);
    try (Workspace space = new Workspace(layout)) {
      set(space.inner.importance().sensitivity(), 1);
      assertTrue(layout.padding() > 0);
      assertEquals(1f, threshold(space, Score.SENSITIVITY, 0));
    }
  }

  @Test
  void theThresholdOfNothingIsNaNAndNothingLiesAboveIt() {
    try (Workspace space = new Workspace(Workspace.layoutOf(0))) {
      assertTrue(Float.isNaN(threshold(space, Score.SENSITIVITY, 0.8)));
    }
    try (Workspace space = new Workspace(Workspace.layoutOf(5))) {
      set(space.inner.importance().sensitivity(), 1, 2, Float.NaN, 3, INFINITY);
      assertTrue(Float.isNaN(threshold(space, Score.SENSITIVITY, 0.1)));
      set(space.inner.importance().sensitivity(), 1, 2, 3, 4, INFINITY);
      assertEquals(new MaskCounts(0, 0, 0, 5), counts(space));
    }
  }

  @Test
  void zerosOfBothSignsAreOneZero() {
    try (Workspace space = new Workspace(Workspace.layoutOf(4))) {
      set(space.inner.importance().sensitivity(), 0, MINUS_ZERO, MINUS_ZERO, 0);
      assertEquals(0, Float.floatToRawIntBits(threshold(space, Score.SENSITIVITY, 1)));
      assertEquals(0, counts(space).newOnly());
    }
  }

  @Test
  void aScoreThatEqualsTheThresholdIsNotImportant() {
    try (Workspace space = new Workspace(Workspace.layoutOf(5))) {
      set(space.inner.importance().sensitivity(), 3, 3, 3, 3, Math.nextUp(3f));
      assertEquals(3f, threshold(space, Score.SENSITIVITY, 0.5));
      assertEquals(1, counts(space).newOnly());
    }
  }

  @Test
  void denormalScoresAreToldApart() {
    try (Workspace space = new Workspace(Workspace.layoutOf(3))) {
      set(space.inner.importance().sensitivity(), 2 * Float.MIN_VALUE, 0, Float.MIN_VALUE);
      assertEquals(Float.MIN_VALUE, threshold(space, Score.SENSITIVITY, 0.5));
      assertEquals(1, counts(space).elements() - counts(space).redundant());
    }
  }

  @Test
  void anImportanceFollowsItsFormula() {
    float w = 0.5f;
    float g = -3f;
    Map<Formula, Float> expected =
        Map.of(
            Formula.FIRST_ORDER, 1.5f,
            Formula.SECOND_ORDER, 2.25f,
            Formula.MIXED, 1.5f + 0.5f * 2.25f);
    for (Formula formula : Formula.values()) {
      try (Workspace space = new Workspace(Workspace.layoutOf(1))) {
        set(space.weights, w);
        set(space.gradient, g);
        set(space.inner.importance().sensitivity(), 1);
        set(space.inner.importance().uncertainty(), 2);
        kernels.importance(
            space.weights,
            space.gradient,
            1,
            space.inner.importance(),
            new ImportanceRule(formula, 0.5, 0.25));
        float s = expected.getOrDefault(formula, Float.NaN);
        float smoothed = 0.5f + 0.5f * s;
        assertEquals(
            smoothed, space.inner.importance().sensitivity().download("a")[0], formula.name());
        assertEquals(
            0.5f + 0.75f * Math.abs(s - smoothed),
            space.inner.importance().uncertainty().download("a")[0],
            formula.name());
      }
    }
  }

  @Test
  void importancesThatDecayAtNoGradientPassThroughDenormalsToZero() {
    try (Workspace space = new Workspace(Workspace.layoutOf(1))) {
      set(space.inner.importance().sensitivity(), 1e-37f);
      float before = 1e-37f;
      int denormals = 0;
      for (int i = 0; i < 2000 && before > 0; i++) {
        kernels.importance(
            space.weights, space.gradient, 1, space.inner.importance(), Operations.RULE);
        float now = space.inner.importance().sensitivity().download("a")[0];
        assertEquals(0.85f * before, now);
        denormals += now > 0 && now < Float.MIN_NORMAL ? 1 : 0;
        if (now == before) {
          break; // the smallest denormals round back to themselves
        }
        before = now;
      }
      assertTrue(denormals > 50, "flushed to zero after " + denormals);
    }
  }

  @Test
  void mergesOfThePaperAndOfTheReferenceTakeTheirCoefficients() {
    // In this order: important to both, to the new task, to the history, to neither.
    float[] base = {1, 1, 1, 1};
    float[] snapshot = {3, 3, 3, 3};
    float[] after = {13, 13, 13, 13};
    float[][] expected = {{7.8f, 3, 11, 7}, {13, 3, 11, 1}};
    MergeRule[] rules = {MergeRule.reference(), MergeRule.paper()};
    for (int i = 0; i < rules.length; i++) {
      try (Workspace space = new Workspace(Workspace.layoutOf(5))) {
        set(space.base, base);
        set(space.snapshot, snapshot);
        set(space.weights, after);
        set(space.inner.importance().sensitivity(), 9, 9, 1, 1);
        set(space.outer.importance().sensitivity(), 9, 1, 9, 1);
        set(space.inner.importance().uncertainty(), 1, 1, 1, 1);
        set(space.outer.importance().uncertainty(), 1, 1, 1, 1);
        space.inner.threshold().segment().set(JAVA_FLOAT, 0, 5);
        space.outer.threshold().segment().set(JAVA_FLOAT, 0, 5);
        kernels.merge(
            space.weights, space.base, space.snapshot, space.inner, space.outer, rules[i]);
        for (int j = 0; j < 4; j++) {
          assertEquals(expected[i][j], space.weights.download("a")[j], 1e-6f);
          assertEquals(space.weights.download("a")[j], space.base.download("a")[j]);
          assertEquals(0, space.inner.importance().sensitivity().download("a")[j]);
        }
        assertEquals(9, space.outer.importance().sensitivity().download("a")[0]);
      }
    }
  }

  @Test
  void aNormSumsSquaresAndShowsWhatIsNotFinite() {
    try (Workspace space = new Workspace(Workspace.layoutOf(10_000))) {
      space.gradient.segment().fill((byte) 0);
      set(space.gradient, 3, 4, 12);
      assertEquals(169, kernels.squaredNorm(space.gradient));
      set(space.gradient, 1e30f);
      assertEquals(1e60 * 10_000, kernels.squaredNorm(space.gradient), 1e58);
      space.gradient.segment().fill((byte) 0);
      set(space.gradient, 3, Float.NEGATIVE_INFINITY, 5);
      assertEquals(Double.POSITIVE_INFINITY, kernels.squaredNorm(space.gradient));
      set(space.gradient, 3, Float.NaN, 5);
      assertTrue(Double.isNaN(kernels.squaredNorm(space.gradient)));
    }
  }

  @Test
  void aDropoutMaskFollowsItsRuleAndNotItsPadding() {
    DropoutMask rule = new DropoutMask(RandomKey.ofSeed(1), 4, 0.25);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment narrow = arena.allocate(JAVA_FLOAT, 2 * 3 * 1001);
      MemorySegment wide = arena.allocate(JAVA_FLOAT, 2 * 3 * 1009);
      kernels.dropoutMask(narrow, 2, 3, 1001, rule);
      kernels.dropoutMask(wide, 2, 3, 1009, rule);
      int dropped = 0;
      for (int row = 0; row < 2 * 3; row++) {
        for (int column = 0; column < 1001; column++) {
          float value = narrow.getAtIndex(JAVA_FLOAT, row * 1001L + column);
          assertEquals(value, wide.getAtIndex(JAVA_FLOAT, row * 1009L + column));
          int[] words = {column / 4, row % 3, row / 3, 4};
          Philox.randomize(words, rule.key().bits());
          boolean drop = (words[column % 4] >>> 8) * 0x1p-24 < 0.25;
          assertEquals(drop ? 0 : 4 / 3f, value);
          dropped += drop ? 1 : 0;
        }
      }
      // Five standard deviations of 6006 draws.
      assertEquals(0.25 * 6006, dropped, 170);
    }
  }

  @Test
  void vectorsOfDifferentLayoutsAndTheSameVectorTwiceAreRefused() {
    try (Workspace one = new Workspace(Workspace.layoutOf(5));
        Workspace other = new Workspace(Workspace.layoutOf(6))) {
      assertThrows(IllegalArgumentException.class, () -> kernels.copy(one.weights, other.weights));
      assertThrows(IllegalArgumentException.class, () -> kernels.copy(one.weights, one.weights));
      assertThrows(IllegalArgumentException.class, () -> threshold(one, Score.SENSITIVITY, 1.01));
      assertThrows(
          IllegalArgumentException.class,
          () ->
              kernels.dropoutMask(
                  one.weights.segment(), 1, 1, 3, new DropoutMask(RandomKey.ofSeed(1), 0, 0.5)));
    }
  }

  /** The threshold of the inner scores, which is left there. */
  private float threshold(Workspace space, Score score, double quantile) {
    kernels.threshold(space.inner.importance(), score, quantile, space.inner.threshold());
    return space.inner.threshold().value();
  }

  /** Both sides by the inner threshold. */
  private MaskCounts counts(Workspace space) {
    Side outer = new Side(space.outer.importance(), space.inner.threshold());
    return kernels.maskCounts(space.inner, outer, Score.SENSITIVITY);
  }

  private static float[] scores(Workspace space) {
    float[] scores = new float[(int) space.layout.elements()];
    int n = 0;
    for (ParameterLayout.Tensor tensor : space.layout.tensors()) {
      float[] sensitivity = space.inner.importance().sensitivity().download(tensor.name());
      float[] uncertainty = space.inner.importance().uncertainty().download(tensor.name());
      for (int i = 0; i < sensitivity.length; i++) {
        scores[n++] = sensitivity[i] * uncertainty[i];
      }
    }
    return scores;
  }

  /** One value for all elements, or the first elements one by one. */
  private static void set(ParameterVector vector, float... values) {
    if (values.length == 1) {
      for (ParameterLayout.Tensor tensor : vector.layout().tensors()) {
        float[] same = new float[(int) tensor.elements()];
        Arrays.fill(same, values[0]);
        vector.upload(tensor.name(), MemorySegment.ofArray(same));
      }
      return;
    }
    ParameterLayout.Tensor a = vector.layout().tensor("a");
    ParameterLayout.Tensor b = vector.layout().tensor("b");
    for (int i = 0; i < values.length; i++) {
      long index = i < a.elements() ? i : b.offset() + i - a.elements();
      vector.segment().setAtIndex(JAVA_FLOAT, index, values[i]);
    }
  }
}
