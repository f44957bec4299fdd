package io.github.recurrentkif.memory;

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
}
