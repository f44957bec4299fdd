package io.github.recurrentkif.experiment.sweep;

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;

/** Memory of this machine and of its processes, as Linux tells it. */
final class MachineMemory {

  /** Left to everything else. */
  private static final double SHARE = 0.9;

  private MachineMemory() {}

  /** Bytes that processes may take together: those of the machine, or of the container. */
  static long usable() {
    long total =
        ManagementFactory.getOperatingSystemMXBean()
                instanceof com.sun.management.OperatingSystemMXBean system
            ? system.getTotalMemorySize()
            : Long.MAX_VALUE;
    return (long) (SHARE * Math.min(total, lines("/proc/meminfo", "MemTotal:", Long.MAX_VALUE)));
  }

  /** Bytes that nobody needs at this moment. */
  static long available() {
    return lines("/proc/meminfo", "MemAvailable:", Long.MAX_VALUE);
  }

  /** Bytes that a process has to itself; mapped files, which others share, do not count. */
  static long ofProcess(long pid) {
    return lines("/proc/" + pid + "/status", "RssAnon:", 0);
  }

  private static long lines(String file, String key, long otherwise) {
    try {
      for (String line : Files.readAllLines(Path.of(file))) {
        if (line.startsWith(key)) {
          return 1024 * Long.parseLong(line.replaceAll("[^0-9]", ""));
        }
      }
    } catch (IOException | NumberFormatException e) {
      // Not Linux, or the process has ended.
    }
    return otherwise;
  }
}
