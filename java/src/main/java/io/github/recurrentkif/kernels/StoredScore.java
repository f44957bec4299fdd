package io.github.recurrentkif.kernels;

/**
 * How important each element of a tensor is: a non-negative number, formed in float32 from one or
 * two stored tensors.
 */
public sealed interface StoredScore {

  /** The first tensor; the second has as many elements. */
  StoredWeights a();

  /** {@code |a - b|}: how far an element has moved. */
  record Difference(StoredWeights a, StoredWeights b) implements StoredScore {}

  /** {@code |a|}: an importance by itself. */
  record Value(StoredWeights a) implements StoredScore {}

  /** {@code |a*b|}: sensitivity times uncertainty. */
  record Product(StoredWeights a, StoredWeights b) implements StoredScore {}
}
