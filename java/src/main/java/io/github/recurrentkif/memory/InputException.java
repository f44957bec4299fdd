package io.github.recurrentkif.memory;

import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;

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

  /** {@code FILE: cannot be read: WHY}. */
  public static InputException unreadable(Path file, IOException cause) {
    return new InputException(file + ": cannot be read: " + reason(file, cause), cause);
  }

  /** {@code FILE: cannot be written: WHY}. */
  public static InputException unwritable(Path file, IOException cause) {
    return new InputException(file + ": cannot be written: " + reason(file, cause), cause);
  }

  /** Why a file could not be used, where the sentence names that file already. */
  public static String reason(Path file, IOException cause) {
    String reason = reason(cause);
    String known = file + ": ";
    return reason.startsWith(known) ? reason.substring(known.length()) : reason;
  }

  /** Which file could not be used and why; the messages of the JDK often give only one. */
  public static String reason(IOException cause) {
    String problem =
        switch (cause) {
          case FileSystemException e when e.getReason() != null -> e.getReason();
          case NoSuchFileException _ -> "no such file or folder";
          case AccessDeniedException _ -> "permission denied";
          case FileAlreadyExistsException _ -> "exists already";
          case DirectoryNotEmptyException _ -> "the folder is not empty";
          case NotDirectoryException _ -> "not a folder";
          case FileSystemException e -> e.getClass().getSimpleName();
          default -> cause.getMessage() == null ? cause.toString() : cause.getMessage();
        };
    return cause instanceof FileSystemException e && e.getFile() != null
        ? e.getFile() + ": " + problem
        : problem;
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
