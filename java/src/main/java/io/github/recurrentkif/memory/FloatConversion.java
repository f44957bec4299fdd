package io.github.recurrentkif.memory;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/**
 * Converts the floating point types of files to float32 and bfloat16, one element after another.
 */
final class FloatConversion {

  // Files are little-endian, and their tensors may begin at any byte.
  private static final ValueLayout.OfShort STORED_16 =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfFloat STORED_32 =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
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
    return inFloat32(
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
    return inFloat32(
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
    return inFloat32(
        stored,
        target,
        Double.BYTES,
        (from, to, elements) -> {
          for (int i = 0; i < elements; i++) {
            to.setAtIndex(JAVA_FLOAT, i, (float) from.get(STORED_64, (long) i * Double.BYTES));
          }
        });
  }

  /**
   * Fills bfloat16 memory from so many elements of a floating point type, each rounded to the
   * nearest, ties to even; F64 by way of float32.
   *
   * @throws IllegalArgumentException if the type is none
   */
  static MemorySegment toBfloat16(DataType type, MemorySegment stored, MemorySegment target) {
    return switch (type) {
      case F32 ->
          inBfloat16(
              stored,
              target,
              Float.BYTES,
              (from, to, elements) -> {
                for (int i = 0; i < elements; i++) {
                  put(to, i, from.get(STORED_32, (long) i * Float.BYTES));
                }
              });
      case F16 ->
          inBfloat16(
              stored,
              target,
              Short.BYTES,
              (from, to, elements) -> {
                for (int i = 0; i < elements; i++) {
                  put(to, i, Float.float16ToFloat(from.get(STORED_16, (long) i * Short.BYTES)));
                }
              });
      case BF16 -> target.copyFrom(stored);
      case F64 ->
          inBfloat16(
              stored,
              target,
              Double.BYTES,
              (from, to, elements) -> {
                for (int i = 0; i < elements; i++) {
                  put(to, i, (float) from.get(STORED_64, (long) i * Double.BYTES));
                }
              });
      default -> throw new IllegalArgumentException(type + " is no floating point type");
    };
  }

  private static void put(MemorySegment target, int index, float value) {
    target.set(STORED_16, (long) index * Short.BYTES, bfloat16(value));
  }

  /** The upper half of a float, after rounding the lower half away. */
  private static short bfloat16(float value) {
    int bits = Float.floatToRawIntBits(value);
    if (Float.isNaN(value)) {
      // Rounding could carry a NaN into infinity.
      return (short) ((bits >>> Short.SIZE) | 0x40);
    }
    int roundUp = 0x7FFF + ((bits >>> Short.SIZE) & 1);
    return (short) ((bits + roundUp) >>> Short.SIZE);
  }

  private static MemorySegment inBfloat16(
      MemorySegment stored, MemorySegment target, long storedBytes, Loop loop) {
    return inChunks(stored, target, storedBytes, Short.BYTES, loop);
  }

  private static MemorySegment inFloat32(
      MemorySegment stored, MemorySegment target, long storedBytes, Loop loop) {
    return inChunks(stored, target, storedBytes, Float.BYTES, loop);
  }

  private static MemorySegment inChunks(
      MemorySegment stored, MemorySegment target, long storedBytes, long targetBytes, Loop loop) {
    long elements = target.byteSize() / targetBytes;
    for (long first = 0; first < elements; first += CHUNK) {
      int count = (int) Math.min(CHUNK, elements - first);
      loop.run(
          stored.asSlice(first * storedBytes, count * storedBytes),
          target.asSlice(first * targetBytes, count * targetBytes),
          count);
    }
    return target;
  }
}
