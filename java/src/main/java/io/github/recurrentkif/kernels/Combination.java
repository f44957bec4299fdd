package io.github.recurrentkif.kernels;

/**
 * How any number of models become one. With x_i the models and c_i their weights, for each element:
 *
 * <pre>
 * t_i = x_i - base, or x_i without task vectors
 * t_i = 0 where it does not take part, by the sparsity
 * t_i = 0 where consensus is asked for and t_i has not the sign of the sum of all c_i*t_i
 * t   = sum of c_i*t_i, in the order of the models; if normalised, divided by the sum of the c_i
 *       that took part (by 1 where none did, or where they add up to 0)
 * out = base + scale*t, or scale*t without task vectors
 * </pre>
 *
 * <p>Task arithmetic (Ilharco et al., 2023), TIES (Yadav et al., 2023), DARE (Yu et al., 2024) and
 * the plain average are all of this form.
 *
 * @param taskVectors whether differences from a base are combined, or the models themselves
 */
public record Combination(
    boolean taskVectors, Sparsity sparsity, boolean consensus, boolean normalised, float scale) {

  /** What of a task vector takes part. */
  public sealed interface Sparsity {

    /** Everything. */
    record None() implements Sparsity {}

    /** What is at least as large as a threshold, which each model has for itself. */
    record Large() implements Sparsity {}

    /**
     * What is drawn, and then divided by the chance of being drawn. Element e of a tensor draws
     * word e%4 of Philox 4x32-10 at counter (lower half of e/4, upper half of e/4, number of the
     * model, 0); it takes part when {@code (word >>> 8) * 2^-24 >= 1 - density}.
     *
     * @param key of the tensor
     * @param density in (0, 1]
     */
    record Random(RandomKey key, double density) implements Sparsity {

      /** Words whose upper 24 bits lie below this do not take part. */
      public int dropBelow() {
        return (int) Math.ceil((1 - density) * (1 << 24));
      }

      public float keptValue() {
        return (float) (1 / density);
      }
    }
  }
}
