package io.github.recurrentkif.memory;

/**
 * Something the user gave cannot be used. The message names the file and the key or tensor, what
 * was expected, what was found, and what to do; it is shown as it is, without a stack trace.
 */
public class InputException extends RuntimeException {

  private static final long serialVersionUID = 1L;

  public InputException(String message) {
    super(message);
  }

  public InputException(String message, Throwable cause) {
    super(message, cause);
  }
}
