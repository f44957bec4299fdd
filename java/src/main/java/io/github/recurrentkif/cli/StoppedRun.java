package io.github.recurrentkif.cli;

/** A run that began and then failed: what failed, and the command that goes on with it. */
final class StoppedRun extends RuntimeException {

  private static final long serialVersionUID = 1;

  private final String command;

  /**
   * @param command to be shown in the last line
   */
  StoppedRun(Throwable cause, String command) {
    super(cause);
    this.command = command;
  }

  String command() {
    return command;
  }
}
