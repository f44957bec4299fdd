package io.github.recurrentkif.graph.operators;

import io.github.recurrentkif.graph.Attribute;
import io.github.recurrentkif.graph.Value;

/**
 * A dropout that draws inside an operator of our own: element for element what {@code
 * kernels.DropoutMask} says, so that nothing is stored and packed and padded rows drop the same.
 *
 * @param keys int64 [sequences, 3]: the random key of the sequence's micro-batch, the number of the
 *     sequence in it, and the position of its first token
 * @param place which dropout of the model
 */
public record KeyedDropout(Value keys, int place, double probability) {

  Attribute placeAttribute() {
    return Attribute.of("place", place);
  }

  Attribute probabilityAttribute() {
    return Attribute.of("probability", exactProbability());
  }

  /** The multiple of 2^-24 that the generator compares with: exact in float32. */
  private float exactProbability() {
    return (float) (Math.ceil(probability * (1 << 24)) / (1 << 24));
  }

  /** What an element that is not dropped is multiplied by. */
  float keptValue() {
    return (float) (1 / (1 - (double) exactProbability()));
  }
}
