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

  private FloatConversion() {}

  /** IEEE 754 binary16, exactly. */
  static MemorySegment fromFloat16(MemorySegment stored, MemorySegment target) {
    long elements = target.byteSize() / JAVA_FLOAT.byteSize();
    for (long i = 0; i < elements; i++) {
      target.setAtIndex(
          JAVA_FLOAT, i, Float.float16ToFloat(stored.get(STORED_16, i * Short.BYTES)));
    }
    return target;
  }

  /** bfloat16 is the upper half of a float32, exactly. */
  static MemorySegment fromBfloat16(MemorySegment stored, MemorySegment target) {
    long elements = target.byteSize() / JAVA_INT.byteSize();
    for (long i = 0; i < elements; i++) {
      target.setAtIndex(JAVA_INT, i, stored.get(STORED_16, i * Short.BYTES) << Short.SIZE);
    }
    return target;
  }

  /** IEEE 754 binary64, rounded to the nearest float32, ties to even; too large is infinite. */
  static MemorySegment fromFloat64(MemorySegment stored, MemorySegment target) {
    long elements = target.byteSize() / JAVA_FLOAT.byteSize();
    for (long i = 0; i < elements; i++) {
      target.setAtIndex(JAVA_FLOAT, i, (float) stored.get(STORED_64, i * Double.BYTES));
    }
    return target;
  }
}
