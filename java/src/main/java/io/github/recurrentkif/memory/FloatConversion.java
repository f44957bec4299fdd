package io.github.recurrentkif.memory;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/** Widens the other floating point types of files to float32, one element after another. */
final class FloatConversion {

  // Files are little-endian, and their tensors may begin at any byte.
  private static final ValueLayout.OfShort STORED_16 =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfDouble STORED_64 =
      ValueLayout.JAVA_DOUBLE_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  /** Elements; the compiler vectorises loops that an int counts. */
  private static final int CHUNK = 1 << 20;

  /** Converts so many elements from the beginning of one segment to that of the other. */
  @FunctionalInterface
  private interface Loop {
    void run(MemorySegment stored, MemorySegment target, int elements);
  }

  private FloatConversion() {}

  /**
   * Fills float32 memory from so many elements of another floating point type.
   *
   * @throws IllegalArgumentException if the type is none
   */
  static MemorySegment toFloat32(DataType type, MemorySegment stored, MemorySegment target) {
    return switch (type) {
      case F32 -> target.copyFrom(stored);
      case F16 -> fromFloat16(stored, target);
      case BF16 -> fromBfloat16(stored, target);
      case F64 -> fromFloat64(stored, target);
      default -> throw new IllegalArgumentException(type + " is no floating point type");
    };
  }

  /** IEEE 754 binary16, exactly. */
  static MemorySegment fromFloat16(MemorySegment stored, MemorySegment target) {
    return inChunks(
        stored,
        target,
        Short.BYTES,
        (from, to, elements) -> {
          for (int i = 0; i < elements; i++) {
            short bits = from.get(STORED_16, (long) i * Short.BYTES);
            to.setAtIndex(JAVA_FLOAT, i, Float.float16ToFloat(bits));
          }
        });
  }

  /** bfloat16 is the upper half of a float32, exactly. */
  static MemorySegment fromBfloat16(MemorySegment stored, MemorySegment target) {
    return inChunks(
        stored,
        target,
        Short.BYTES,
        (from, to, elements) -> {
          for (int i = 0; i < elements; i++) {
            short bits = from.get(STORED_16, (long) i * Short.BYTES);
            to.setAtIndex(JAVA_INT, i, bits << Short.SIZE);
          }
        });
  }

  /** IEEE 754 binary64, rounded to the nearest float32, ties to even; too large is infinite. */
  static MemorySegment fromFloat64(MemorySegment stored, MemorySegment target) {
    return inChunks(
        stored,
        target,
        Double.BYTES,
        (from, to, elements) -> {
          for (int i = 0; i < elements; i++) {
            to.setAtIndex(JAVA_FLOAT, i, (float) from.get(STORED_64, (long) i * Double.BYTES));
          }
        });
  }

  private static MemorySegment inChunks(
      MemorySegment stored, MemorySegment target, long storedBytes, Loop loop) {
    long elements = target.byteSize() / Float.BYTES;
    for (long first = 0; first < elements; first += CHUNK) {
      int count = (int) Math.min(CHUNK, elements - first);
      loop.run(
          stored.asSlice(first * storedBytes, count * storedBytes),
          target.asSlice(first * Float.BYTES, (long) count * Float.BYTES),
          count);
    }
    return target;
  }
}
