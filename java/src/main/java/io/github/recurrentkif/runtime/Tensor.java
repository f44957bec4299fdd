package io.github.recurrentkif.runtime;

import io.github.recurrentkif.memory.Shape;
import java.lang.foreign.MemorySegment;

/**
 * A view of memory that somebody else owns as a dense row-major tensor: nothing is copied, and the
 * memory must stay alive for as long as ONNX Runtime may use it.
 */
public record Tensor(ElementType type, Shape shape, MemorySegment data) {

  /**
   * @throws IllegalArgumentException if the memory is a Java array (which the collector moves), is
   *     not aligned to its elements, or has not exactly the size of the shape
   */
  public Tensor {
    long expected;
    try {
      expected = Math.multiplyExact(shape.elements(), type.bytes());
    } catch (ArithmeticException e) {
      throw new IllegalArgumentException(
          "a tensor " + type + shape + " has more than 2^63 bytes", e);
    }
    if (!data.isNative()) {
      throw new IllegalArgumentException(
          "a tensor " + type + shape + " needs native memory, not a Java array");
    }
    if (data.byteSize() != expected) {
      throw new IllegalArgumentException(
          "a tensor "
              + type
              + shape
              + " takes "
              + expected
              + " bytes, the memory has "
              + data.byteSize());
    }
    if (data.address() % type.bytes() != 0) {
      throw new IllegalArgumentException(
          "a tensor %s%s needs memory aligned to %d bytes, got address %#x"
              .formatted(type, shape, type.bytes(), data.address()));
    }
  }

  public static Tensor float32(MemorySegment data, long... shape) {
    return new Tensor(ElementType.FLOAT32, Shape.of(shape), data);
  }

  public static Tensor bfloat16(MemorySegment data, long... shape) {
    return new Tensor(ElementType.BFLOAT16, Shape.of(shape), data);
  }

  public static Tensor int64(MemorySegment data, long... shape) {
    return new Tensor(ElementType.INT64, Shape.of(shape), data);
  }

  public static Tensor int32(MemorySegment data, long... shape) {
    return new Tensor(ElementType.INT32, Shape.of(shape), data);
  }

  public static Tensor uint8(MemorySegment data, long... shape) {
    return new Tensor(ElementType.UINT8, Shape.of(shape), data);
  }

  /** One byte an element, 0 or 1. */
  public static Tensor bool(MemorySegment data, long... shape) {
    return new Tensor(ElementType.BOOL, Shape.of(shape), data);
  }

  /** Whether both are the same view of the same memory, which needs no new binding. */
  boolean sameView(Tensor other) {
    return data.address() == other.data.address()
        && type == other.type
        && shape.equals(other.shape);
  }

  @Override
  public String toString() {
    return type.toString() + shape;
  }
}
