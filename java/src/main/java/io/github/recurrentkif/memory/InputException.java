package io.github.recurrentkif.memory;

/**
 * Something a user gave cannot be used: a file, a key, a tensor, an option. The message alone tells
 * what was expected, what was found and what to do.
 */
public class InputException extends RuntimeException {

  private static final long serialVersionUID = 1;

  public InputException(String message) {
    super(message);
  }

  public InputException(String message, Throwable cause) {
    super(message, cause);
  }
}
