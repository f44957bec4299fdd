package io.github.recurrentkif.memory;

/**
 * Something a user gave cannot be used: a file, a key, a tensor, an option. The message alone tells
 * what to do; the command line shows it without a stack trace.
 */
public final class InputException extends RuntimeException {

  private static final long serialVersionUID = 1;

  /**
   * @param message names the file and the key or tensor, what was expected, what was found, and
   *     what to do
   */
  public InputException(String message) {
    super(message);
  }

  public InputException(String message, Throwable cause) {
    super(message, cause);
  }

  /**
   * The usual sentence: {@code WHERE: expected E, found F; REMEDY}.
   *
   * @param where the file and the key or tensor in it
   * @param remedy what to do, in the imperative
   */
  public static InputException expected(
      String where, String expected, Object found, String remedy) {
    return new InputException(
        where + ": expected " + expected + ", found " + found + "; " + remedy);
  }
}
