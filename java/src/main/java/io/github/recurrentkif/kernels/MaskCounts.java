package io.github.recurrentkif.kernels;

import java.util.List;

/** How many parameters of a layout fell into each class of a merge; padding is not counted. */
public record MaskCounts(long shared, long newOnly, long oldOnly, long redundant) {

  public long elements() {
    return shared + newOnly + oldOnly + redundant;
  }

  /** All of them together. */
  public static MaskCounts sum(List<MaskCounts> parts) {
    long shared = 0;
    long newOnly = 0;
    long oldOnly = 0;
    long redundant = 0;
    for (MaskCounts part : parts) {
      shared += part.shared;
      newOnly += part.newOnly;
      oldOnly += part.oldOnly;
      redundant += part.redundant;
    }
    return new MaskCounts(shared, newOnly, oldOnly, redundant);
  }
}
