package io.github.recurrentkif.cli;

/** What the exit status of {@code kif} means. */
public final class ExitCode {

  public static final int OK = 0;

  /** The command ran, and what it was asked to check does not hold. */
  public static final int CHECK_FAILED = 1;

  /** The command line, a file or a value cannot be used; the message says why. */
  public static final int BAD_INPUT = 2;

  /** A bug in kif; EX_SOFTWARE of BSD's sysexits. */
  public static final int BUG = 70;

  /** Stopped by Ctrl-C: 128 and the number of SIGINT, as shells have it. */
  public static final int INTERRUPTED = 130;

  private ExitCode() {}
}
