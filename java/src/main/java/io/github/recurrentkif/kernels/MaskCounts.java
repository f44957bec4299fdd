package io.github.recurrentkif.kernels;

/** How many parameters of a layout fell into each class of a merge; padding is not counted. */
public record MaskCounts(long shared, long newOnly, long oldOnly, long redundant) {

  public long elements() {
    return shared + newOnly + oldOnly + redundant;
  }
}
