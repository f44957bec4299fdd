package io.github.recurrentkif.cli;

/**
 * One fact about the machine that {@code kif doctor} shows.
 *
 * @param hint what to do about it; empty if nothing
 */
public record Finding(String name, String value, Status status, String hint) {

  /** Whether the fact stands in the way of anything. */
  public enum Status {
    OK,
    /** Works, but slower or without something. */
    WARNING,
    /** Does not work. */
    FAILURE
  }

  public static Finding ok(String name, String value) {
    return new Finding(name, value, Status.OK, "");
  }

  public static Finding warning(String name, String value, String hint) {
    return new Finding(name, value, Status.WARNING, hint);
  }

  public static Finding failure(String name, String value, String hint) {
    return new Finding(name, value, Status.FAILURE, hint);
  }
}
