package io.github.recurrentkif.kernels.cuda;

import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Assumptions;

/** The CUDA kernels on the processor, as the build compiled them for tests. */
public final class Emulator {

  private Emulator() {}

  /** The launcher; the test is skipped, aloud, where the build had no C++ compiler. */
  public static EmulatorLauncher launcher(int multiprocessors) {
    Path library = library();
    Assumptions.assumeTrue(
        Files.exists(library),
        "SKIPPED: the CUDA kernels are not tested, for the build found no C++ compiler ("
            + library
            + ")");
    return new EmulatorLauncher(library, multiprocessors);
  }

  public static Path library() {
    return Path.of("target", "cuda-emulator", "libkif_emulator.so").toAbsolutePath();
  }

  /** The folder of the sources. */
  static Path sources() {
    return Path.of("").toAbsolutePath().resolveSibling("cuda-kernels");
  }
}
