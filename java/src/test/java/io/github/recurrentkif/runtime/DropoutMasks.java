package io.github.recurrentkif.runtime;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import io.github.recurrentkif.kernels.DropoutMask;
import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.kernels.RandomKey;
import io.github.recurrentkif.kernels.reference.ReferenceKernels;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** The masks of dropout as the reference kernels have them. */
final class DropoutMasks {

  private DropoutMasks() {}

  /**
   * One plane of a mask.
   *
   * @param key the random key's bits and the plane
   */
  static float[] of(long[] key, int rows, int columns, int place, double probability) {
    try (Arena arena = Arena.ofConfined();
        Kernels kernels = new ReferenceKernels()) {
      long plane = key[1];
      long size = (long) rows * columns * Float.BYTES;
      MemorySegment mask = arena.allocate((plane + 1) * size, 64);
      kernels.dropoutMask(
          mask,
          plane + 1,
          rows,
          columns,
          new DropoutMask(new RandomKey(key[0]), place, probability));
      return mask.asSlice(plane * size).toArray(JAVA_FLOAT);
    }
  }
}
