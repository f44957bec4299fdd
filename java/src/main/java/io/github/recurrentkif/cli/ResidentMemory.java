package io.github.recurrentkif.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** How much memory this process holds. */
final class ResidentMemory {

  private static final long PAGE = 4096;

  private ResidentMemory() {}

  /**
   * Resident bytes, native memory and mapped weights included; where the system does not say, the
   * Java heap in use.
   *
   * @param statm Linux's own count, in pages: the second number
   */
  static long bytes(Path statm) {
    try {
      return PAGE * Long.parseLong(Files.readString(statm).split(" ", 3)[1]);
    } catch (IOException | RuntimeException e) {
      Runtime runtime = Runtime.getRuntime();
      return runtime.totalMemory() - runtime.freeMemory();
    }
  }
}
