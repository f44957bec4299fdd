package io.github.recurrentkif.cli;

import com.sun.management.OperatingSystemMXBean;
import io.github.recurrentkif.experiment.Build;
import io.github.recurrentkif.experiment.Processor;
import java.lang.management.ManagementFactory;
import java.util.List;
import java.util.Locale;

/** The Java, the operating system, the processor and the memory kif runs with. */
final class MachineExamination implements Examination {

  /** 25.0.0 to 25.0.2 can corrupt pinned heap arrays (JDK-8377811). */
  private static final Runtime.Version OLDEST = Runtime.Version.parse("25.0.3");

  private static final long GIB = 1L << 30;

  @Override
  public String title() {
    return "Machine";
  }

  @Override
  public List<Finding> findings() {
    Processor processor = Processor.present();
    String name = processor.model().isEmpty() ? "of unknown model" : processor.model();
    String features =
        processor.features().isEmpty() ? "unknown" : String.join(" ", processor.features());
    OperatingSystemMXBean system = ManagementFactory.getPlatformMXBean(OperatingSystemMXBean.class);
    return List.of(
        Finding.ok("kif", Build.current().text()),
        java(Runtime.version()),
        Finding.ok(
            "system",
            property("os.name") + " " + property("os.version") + ", " + property("os.arch")),
        Finding.ok("processor", name),
        Finding.ok("instructions", features),
        Finding.ok("cores", Runtime.getRuntime().availableProcessors() + " usable"),
        Finding.ok(
            "memory",
            gib(system.getTotalMemorySize())
                + " in all, "
                + gib(system.getFreeMemorySize())
                + " unused"),
        Finding.ok("Java heap", "up to " + gib(Runtime.getRuntime().maxMemory())));
  }

  static Finding java(Runtime.Version version) {
    String value = version + ", " + property("java.home");
    if (version.compareToIgnoreOptional(OLDEST) < 0) {
      return Finding.failure(
          "Java", value, "can corrupt arrays (JDK-8377811): install a JDK " + OLDEST + " or newer");
    }
    return Finding.ok("Java", value);
  }

  private static String property(String key) {
    return System.getProperty(key, "unknown");
  }

  private static String gib(long bytes) {
    return String.format(Locale.ROOT, "%.1f GiB", (double) bytes / GIB);
  }
}
