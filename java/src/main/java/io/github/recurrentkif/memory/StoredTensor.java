package io.github.recurrentkif.memory;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * One tensor as a file holds it: dense, row-major, little-endian.
 *
 * @param bytes on the host; exactly the bytes that the shape and the data type ask for
 */
public record StoredTensor(String name, DataType dataType, Shape shape, MemorySegment bytes) {

  /**
   * @throws IllegalArgumentException if the bytes do not fit the shape and the data type
   */
  public StoredTensor {
    long expected = dataType.bytes(shape);
    if (bytes.byteSize() != expected) {
      throw new IllegalArgumentException(
          "tensor '%s' of %s %s takes %d bytes, got %d"
              .formatted(name, dataType, shape, expected, bytes.byteSize()));
    }
  }

  /**
   * The same in bfloat16: itself if it is, else each element rounded to the nearest, ties to even
   * (F64 by way of float32), into memory of the arena.
   *
   * @throws IllegalArgumentException if it holds neither F32, F16, BF16 nor F64
   */
  public StoredTensor bfloat16(Arena arena) {
    if (dataType == DataType.BF16) {
      return this;
    }
    MemorySegment rounded = new HostMemory().allocate(DataType.BF16.bytes(shape), arena);
    return new StoredTensor(
        name, DataType.BF16, shape, FloatConversion.toBfloat16(dataType, bytes, rounded));
  }
}
