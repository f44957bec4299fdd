package io.github.recurrentkif.graph;

/**
 * Element types that cross the border of a graph, and of frozen parameters, with their number in
 * ONNX's TensorProto.DataType.
 */
public enum ElementType {
  FLOAT32(1),
  INT64(7),
  BFLOAT16(16);

  private final int code;

  ElementType(int code) {
    this.code = code;
  }

  int code() {
    return code;
  }
}
