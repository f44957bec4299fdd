package io.github.recurrentkif.kernels;

import io.github.recurrentkif.memory.DataType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/**
 * A run of elements of a tensor as a file stores it: dense, little-endian, at any address.
 *
 * @param type F32, F16 or BF16
 * @param data on the host
 */
public record StoredWeights(DataType type, MemorySegment data) {

  private static final ValueLayout.OfShort STORED_16 =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfFloat STORED_32 =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

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

  /** An element as float32, exactly. */
  public float widened(long i) {
    return switch (type) {
      case F16 -> Float.float16ToFloat(data.get(STORED_16, i * Short.BYTES));
      case BF16 -> Float.intBitsToFloat(data.get(STORED_16, i * Short.BYTES) << Short.SIZE);
      default -> data.get(STORED_32, i * Float.BYTES);
    };
  }
}
