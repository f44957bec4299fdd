package io.github.recurrentkif.runtime;

import java.util.Locale;

/** What one element of a tensor is, with the number ONNX gives it. */
public enum ElementType {
  FLOAT32(1, Float.BYTES),
  UINT8(2, Byte.BYTES),
  INT8(3, Byte.BYTES),
  UINT16(4, Short.BYTES),
  INT16(5, Short.BYTES),
  INT32(6, Integer.BYTES),
  INT64(7, Long.BYTES),
  BOOL(9, Byte.BYTES),
  FLOAT16(10, Short.BYTES),
  FLOAT64(11, Double.BYTES),
  UINT32(12, Integer.BYTES),
  UINT64(13, Long.BYTES),
  BFLOAT16(16, Short.BYTES);

  private final int code;
  private final int bytes;

  ElementType(int code, int bytes) {
    this.code = code;
    this.bytes = bytes;
  }

  /** The number of {@code TensorProto.DataType}, which ONNX Runtime shares. */
  public int code() {
    return code;
  }

  /** Bytes of one element. */
  public int bytes() {
    return bytes;
  }

  /**
   * @throws OnnxRuntimeException if elements of that code have no fixed size (strings) or the code
   *     is not known here
   */
  static ElementType ofCode(int code, String where) {
    for (ElementType type : values()) {
      if (type.code == code) {
        return type;
      }
    }
    throw new OnnxRuntimeException(
        where + " has ONNX element type " + code + ", which cannot be bound to plain memory");
  }

  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }
}
