package io.github.recurrentkif.kernels.bench;

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What a measurement was taken on.
 *
 * @param load average number of runnable processes of the last minute; negative if unknown
 */
public record Machine(
    String processor, int cores, long largestCache, String system, String java, double load) {

  private static final long USUAL_CACHE = 64L << 20;
  private static final Pattern MODEL = Pattern.compile("(?m)^model name\\s*:\\s*(.+)$");
  private static final Pattern SIZE = Pattern.compile("([0-9]+)([KM])");

  /** This machine, now. */
  public static Machine here() {
    return new Machine(
        model(),
        Runtime.getRuntime().availableProcessors(),
        cacheOfFirstCore(),
        System.getProperty("os.name")
            + " "
            + System.getProperty("os.version")
            + ", "
            + System.getProperty("os.arch"),
        Runtime.version().toString(),
        ManagementFactory.getOperatingSystemMXBean().getSystemLoadAverage());
  }

  private static String model() {
    try {
      Matcher model = MODEL.matcher(Files.readString(Path.of("/proc/cpuinfo")));
      return model.find() ? model.group(1).strip() : "unknown";
    } catch (IOException _) {
      return "unknown"; // Not Linux.
    }
  }

  private static long cacheOfFirstCore() {
    long largest = 0;
    for (int level = 0; level < 8; level++) {
      try {
        Matcher size =
            SIZE.matcher(
                Files.readString(
                        Path.of("/sys/devices/system/cpu/cpu0/cache/index" + level + "/size"))
                    .strip());
        if (size.matches()) {
          int shift = size.group(2).equals("K") ? 10 : 20;
          largest = Math.max(largest, Long.parseLong(size.group(1)) << shift);
        }
      } catch (IOException _) {
        break;
      }
    }
    return largest == 0 ? USUAL_CACHE : largest;
  }
}
