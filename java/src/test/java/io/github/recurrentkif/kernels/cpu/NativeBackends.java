package io.github.recurrentkif.kernels.cpu;

import static org.junit.jupiter.api.Assertions.fail;

import io.github.recurrentkif.kernels.cpu.CpuKernels.Backend;
import io.github.recurrentkif.kernels.cpu.CpuKernels.Settings;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Assumptions;

/** The native backends that tests run on. */
final class NativeBackends {

  /** One way to run the native kernels. */
  record NativeBackend(InstructionSet instructionSet, int threads) {

    NativeKernels open() {
      try {
        return new NativeKernels(library(), threads, instructionSet.number());
      } catch (NativeUnavailableException e) {
        throw new AssertionError(e);
      }
    }

    @Override
    public String toString() {
      return instructionSet + " on " + threads;
    }
  }

  private NativeBackends() {}

  /**
   * The library of this build. Where the build found a C compiler, not having it is a failure; else
   * the test is skipped and says so.
   */
  static NativeLibrary library() {
    Settings settings = Settings.ofProcess();
    try {
      return NativeLibrary.load(CpuKernels.locate(settings));
    } catch (NativeUnavailableException e) {
      if (settings.backend() == Backend.NATIVE) {
        fail("this build demands native kernels, but " + e.getMessage(), e);
      }
      String message = "SKIPPED: native kernels are not tested, for " + e.getMessage();
      System.err.println(message);
      Assumptions.abort(message);
      throw new AssertionError("not reached", e);
    }
  }

  /** Every instruction set that this processor has, on one, two and three threads. */
  static List<NativeBackend> all() {
    int supported = library().supportedIsa();
    return Arrays.stream(InstructionSet.values())
        .filter(
            set -> {
              if (set.number() > supported) {
                System.err.println("SKIPPED: this processor or build has no " + set);
              }
              return set.number() <= supported;
            })
        .flatMap(set -> List.of(1, 2, 3).stream().map(n -> new NativeBackend(set, n)))
        .toList();
  }
}
