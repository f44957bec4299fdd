package io.github.recurrentkif.kernels.reference;

import io.github.recurrentkif.kernels.Bounds;
import io.github.recurrentkif.kernels.MergeRule.Coefficients;
import io.github.recurrentkif.kernels.MergeRule.Soft;

/** Factors of two task vectors by how large their scores are: the steps of {@link Soft}. */
final class SoftWeights {

  private static final float LIMIT = 64;

  private static final float LOG2_E = 1.442695f;

  /** 1.5 * 2^23: a float32 of this size has no fraction, so adding it rounds to a whole number. */
  private static final float ROUNDER = 12582912;

  /** ln 2 in two parts; the first has 9 bits, so that its product with k is exact. */
  private static final float LN_2_HIGH = 355 / 512f;

  private static final float LN_2_LOW = -2.1219444e-4f;

  private static final int EXPONENT_SHIFT = 23;

  private SoftWeights() {}

  static Coefficients of(
      float innerScore, float outerScore, Bounds inner, Bounds outer, Soft rule) {
    float z =
        (normalised(innerScore, inner) - normalised(outerScore, outer)) / rule.roundedTemperature();
    float limited = z < -LIMIT ? -LIMIT : z > LIMIT ? LIMIT : z;
    float a = 1 / (1 + exp(-limited));
    return new Coefficients(a, 1 - a);
  }

  private static float normalised(float score, Bounds bounds) {
    float x = (score - bounds.low()) / (bounds.high() - bounds.low());
    return x > 0 ? x : 0;
  }

  /** The exponential of numbers from -64 to 64. */
  static float exp(float y) {
    float shifted = y * LOG2_E + ROUNDER;
    float k = shifted - ROUNDER;
    float r = (y - k * LN_2_HIGH) - k * LN_2_LOW;
    float p = 1 / 5040f;
    p = p * r + 1 / 720f;
    p = p * r + 1 / 120f;
    p = p * r + 1 / 24f;
    p = p * r + 1 / 6f;
    p = p * r + 1 / 2f;
    p = p * r + 1;
    p = p * r + 1;
    // The lowest bits of a float32 near the rounder are k; added to the exponent they multiply.
    int exponent = Float.floatToRawIntBits(shifted) << EXPONENT_SHIFT;
    return Float.intBitsToFloat(Float.floatToRawIntBits(p) + exponent);
  }
}
