package io.github.recurrentkif.kernels.reference;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.kernels.Bounds;
import io.github.recurrentkif.kernels.MergeRule.Coefficients;
import io.github.recurrentkif.kernels.MergeRule.Soft;
import org.junit.jupiter.api.Test;

class SoftWeightsTest {

  private static final Bounds UNIT = new Bounds(0, 1);
  private static final Soft RULE = new Soft(0.25);

  private static Coefficients of(float inner, float outer) {
    return SoftWeights.of(inner, outer, UNIT, UNIT, RULE);
  }

  @Test
  void theExponentialIsRightToTwoRoundings() {
    double worst = 0;
    for (float y = -64; y <= 64; y += 0.0007f) {
      double right = Math.exp(y);
      worst = Math.max(worst, Math.abs(SoftWeights.exp(y) - right) / right);
    }
    assertTrue(worst < 2 * 0x1p-23, "" + worst);
    assertEquals(1, SoftWeights.exp(0));
  }

  @Test
  void theWeightsAreTheSoftmaxOfBothScoresOverTheTemperature() {
    for (float inner = 0; inner <= 1; inner += 0.125f) {
      for (float outer = 0; outer <= 1; outer += 0.125f) {
        double a = Math.exp(inner / 0.25);
        double b = Math.exp(outer / 0.25);
        Coefficients c = of(inner, outer);
        assertEquals(a / (a + b), c.inner(), 3e-7);
        assertEquals(b / (a + b), c.outer(), 3e-7);
      }
    }
  }

  @Test
  void scoresCountByTheirPlaceInTheRangeOfTheirSide() {
    Bounds wide = new Bounds(2e-6f, 10e-6f);
    assertEquals(of(0.5f, 0.25f), SoftWeights.of(6e-6f, 0.25f, wide, UNIT, RULE));
  }

  @Test
  void equalScoresAreImportantToNobody() {
    Bounds constant = new Bounds(3, 3);
    assertEquals(new Coefficients(0.5f, 0.5f), SoftWeights.of(3, 3, constant, constant, RULE));
    assertEquals(of(0, 1), SoftWeights.of(3, 1, constant, UNIT, RULE));
  }

  @Test
  void whatIsNoNumberCountsAsNothing() {
    Bounds none = new Bounds(Float.NaN, Float.NaN);
    assertEquals(of(0, 1), SoftWeights.of(1, 1, none, UNIT, RULE));
    assertEquals(of(1, 0), of(1, Float.NaN));
    Bounds endless = new Bounds(0, Float.POSITIVE_INFINITY);
    assertEquals(of(0, 1), SoftWeights.of(5, 1, endless, UNIT, RULE));
    assertEquals(of(0, 1), SoftWeights.of(Float.POSITIVE_INFINITY, 1, endless, UNIT, RULE));
  }

  @Test
  void denormalScoresAreScoresLikeAnyOther() {
    Bounds tiny = new Bounds(0, Float.MIN_VALUE * 1024);
    assertEquals(of(0.5f, 0), SoftWeights.of(Float.MIN_VALUE * 512, 0, tiny, UNIT, RULE));
  }

  @Test
  void paddingStaysWhatItIs() {
    // It scores zero, which may lie below the least score.
    assertEquals(of(0, 0), SoftWeights.of(0, 0, new Bounds(2, 3), new Bounds(1, 9), RULE));
  }

  @Test
  void aSmallTemperatureChoosesAndALargeOneAverages() {
    assertEquals(new Coefficients(1, 0), SoftWeights.of(0.6f, 0.5f, UNIT, UNIT, new Soft(1e-30)));
    Coefficients least = SoftWeights.of(0.5f, 0.6f, UNIT, UNIT, new Soft(1e-30));
    assertEquals(1, least.outer());
    assertTrue(least.inner() > 0 && least.inner() < 1e-27, "" + least);
    assertEquals(new Coefficients(0.5f, 0.5f), SoftWeights.of(1, 0, UNIT, UNIT, new Soft(1e30)));
    assertThrows(IllegalArgumentException.class, () -> new Soft(0));
    assertThrows(IllegalArgumentException.class, () -> new Soft(1e-50));
    assertThrows(IllegalArgumentException.class, () -> new Soft(Double.NaN));
  }
}
