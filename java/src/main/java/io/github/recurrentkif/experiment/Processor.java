package io.github.recurrentkif.experiment;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * The processor as Linux describes it in {@code /proc/cpuinfo}.
 *
 * @param model what it calls itself; empty if it does not say
 * @param features of those our kernels and ONNX Runtime choose code by, the ones it has
 */
public record Processor(String model, List<String> features) {

  private static final List<String> OF_INTEREST =
      List.of(
          "sse2",
          "avx",
          "avx2",
          "fma",
          "avx512f",
          "avx512bw",
          "avx512dq",
          "avx512vl",
          "avx512_vnni",
          "avx512_bf16",
          "amx_tile",
          "amx_bf16",
          "amx_int8",
          "asimd",
          "sve",
          "sve2");

  /** The one of this machine; empty where there is no such file. */
  public static Processor present() {
    try {
      return parse(Files.readString(Path.of("/proc/cpuinfo")));
    } catch (IOException _) {
      // Not Linux.
      return new Processor("", List.of());
    }
  }

  public static Processor parse(String cpuinfo) {
    String model = "";
    Set<String> flags = new HashSet<>();
    for (String line : cpuinfo.lines().toList()) {
      int colon = line.indexOf(':');
      if (colon < 0) {
        continue;
      }
      String key = line.substring(0, colon).strip();
      String value = line.substring(colon + 1).strip();
      switch (key) {
        case "model name" -> model = value;
        // x86 and Arm.
        case "flags", "Features" -> flags.addAll(Arrays.asList(value.split(" +", -1)));
        default -> {}
      }
    }
    List<String> features = new ArrayList<>(OF_INTEREST);
    features.retainAll(flags);
    return new Processor(model, List.copyOf(features));
  }
}
