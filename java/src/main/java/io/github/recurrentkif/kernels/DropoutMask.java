package io.github.recurrentkif.kernels;

/**
 * Which elements a dropout keeps. Element (plane, row, column) reads word {@code column % 4} of
 * Philox 4x32-10 at counter (column / 4, row, plane, place) under the key, whose lower half is the
 * first key word; it is dropped when {@code (word >>> 8) * 2^-24 < probability}. The place of an
 * element does not depend on how long the batch is padded.
 *
 * @param place which dropout of the model
 * @param probability of being dropped, in [0, 1)
 */
public record DropoutMask(RandomKey key, int place, double probability) {

  public DropoutMask {
    if (!(probability >= 0 && probability < 1)) {
      throw new IllegalArgumentException("dropout probability must lie in [0, 1): " + probability);
    }
  }

  /** Words whose upper 24 bits lie below this are dropped. */
  public int dropBelow() {
    return (int) Math.ceil(probability * (1 << 24));
  }

  /** The value of a kept element, {@code 1 / (1 - probability)}. */
  public float keptValue() {
    return (float) (1 / (1 - probability));
  }
}
