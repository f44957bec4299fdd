package io.github.recurrentkif.kernels.cpu;

/** Why the native kernels cannot be used here. */
final class NativeUnavailableException extends Exception {

  private static final long serialVersionUID = 1;

  NativeUnavailableException(String message) {
    super(message);
  }

  NativeUnavailableException(String message, Throwable cause) {
    super(message, cause);
  }
}
