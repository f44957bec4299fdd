package io.github.recurrentkif.kernels;

import io.github.recurrentkif.memory.DataType;
import java.lang.foreign.MemorySegment;

/**
 * A run of elements of a tensor as a file stores it: dense, little-endian, at any address.
 *
 * @param type F32, F16 or BF16
 * @param data on the host
 */
public record StoredWeights(DataType type, MemorySegment data) {

  /**
   * @throws IllegalArgumentException if no arithmetic is done on that type
   */
  public StoredWeights {
    if (!isSupported(type)) {
      throw new IllegalArgumentException("expected F32, F16 or BF16, got " + type);
    }
  }

  public static boolean isSupported(DataType type) {
    return switch (type) {
      case F32, F16, BF16 -> true;
      default -> false;
    };
  }

  public long elements() {
    return data.byteSize() * Byte.SIZE / type.bits();
  }
}
