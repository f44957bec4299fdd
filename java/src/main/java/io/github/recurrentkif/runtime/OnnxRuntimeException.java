package io.github.recurrentkif.runtime;

/** ONNX Runtime refused: what we were doing, and its own words for why it failed. */
public final class OnnxRuntimeException extends RuntimeException {

  private static final long serialVersionUID = 1L;

  OnnxRuntimeException(String message) {
    super(message);
  }

  OnnxRuntimeException(String message, Throwable cause) {
    super(message, cause);
  }
}
