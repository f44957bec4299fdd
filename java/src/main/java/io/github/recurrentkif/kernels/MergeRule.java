package io.github.recurrentkif.kernels;

/**
 * How two task vectors become one: for each parameter {@code w = base + (a*(snapshot-base) +
 * b*(w-snapshot))}, with (a, b) chosen by how important the parameter is to the new task (its inner
 * score) and to the history (its outer score).
 *
 * @param score what stands for the importance
 * @param weighting how scores choose (a, b)
 * @param resetInner whether the inner importance is set to zero in the same pass
 * @param resetOuter whether the outer importance is set to zero in the same pass
 */
public record MergeRule(Score score, Weighting weighting, boolean resetInner, boolean resetOuter) {

  /** Factors of the inner and the outer task vector. */
  public record Coefficients(float inner, float outer) {}

  /** How two scores of a parameter choose its {@link Coefficients}. */
  public sealed interface Weighting permits Masks, Soft {}

  /**
   * By whether each score lies above its threshold, {@link Bounds#low}; a score equal to it does
   * not, and nothing lies above NaN.
   *
   * @param shared important to both
   * @param newOnly important to the new task only
   * @param oldOnly important to the history only
   * @param redundant important to neither
   */
  public record Masks(
      Coefficients shared, Coefficients newOnly, Coefficients oldOnly, Coefficients redundant)
      implements Weighting {}

  /**
   * By how large each score is among those of its side: the adaptive variant of the method's
   * released code. In float32, each step rounded:
   *
   * <pre>
   * x = (score - low) / (high - low), with 0 for what is not above 0: NaN, and 0/0 among equal scores
   * z = (x of inner - x of outer) / temperature, limited to [-64, 64]
   * a = 1 / (1 + exp(-z)),  b = 1 - a
   * </pre>
   *
   * <p>So a is {@code exp(x_inner/temperature)} as a share of the sum of both. Beyond 64, a no
   * longer changes what float32 can show. {@code exp(y)} is defined by its steps, since libraries
   * differ in its last bit: with {@code k = y/ln 2} rounded to a whole number and {@code r = y -
   * k*ln 2} in two steps, the Taylor polynomial of degree 7 at r by Horner's scheme, times 2^k.
   *
   * @param temperature above 0 in float32: small ones come near to a choice, large ones to the mean
   */
  public record Soft(double temperature) implements Weighting {

    public Soft {
      if (!((float) temperature > 0) || Float.isInfinite((float) temperature)) {
        throw new IllegalArgumentException(
            "a temperature must be above 0 and finite in float32, got " + temperature);
      }
    }

    public float roundedTemperature() {
      return (float) temperature;
    }
  }

  /**
   * As the method's released code merges: average where important to both (0.4, 0.6) or neither
   * (0.5, 0.5).
   */
  public static MergeRule reference() {
    return new MergeRule(Score.SENSITIVITY_TIMES_UNCERTAINTY, referenceMasks(), true, false);
  }

  /** The factors of {@link #reference}. */
  public static Masks referenceMasks() {
    return new Masks(
        new Coefficients(0.4f, 0.6f),
        new Coefficients(1, 0),
        new Coefficients(0, 1),
        new Coefficients(0.5f, 0.5f));
  }

  /** As the paper's formula merges: the sum where important, nothing where redundant. */
  public static MergeRule paper() {
    return new MergeRule(Score.SENSITIVITY, paperMasks(), true, false);
  }

  /** The factors of {@link #paper}. */
  public static Masks paperMasks() {
    return new Masks(
        new Coefficients(1, 1),
        new Coefficients(1, 0),
        new Coefficients(0, 1),
        new Coefficients(0, 0));
  }

  /** The same with other resets. */
  public MergeRule withResets(boolean inner, boolean outer) {
    return new MergeRule(score, weighting, inner, outer);
  }
}
