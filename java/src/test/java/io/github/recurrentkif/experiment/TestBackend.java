package io.github.recurrentkif.experiment;

import io.github.recurrentkif.kernels.cpu.CpuKernels;
import io.github.recurrentkif.runtime.OnnxRuntime;
import io.github.recurrentkif.runtime.SessionOptions;
import java.nio.file.Path;

/** A backend of one thread. */
final class TestBackend {

  private TestBackend() {}

  static Backend open(Path cache) {
    return new Backend(
        OnnxRuntime.load(),
        SessionOptions.builder().intraOpThreads(1).memoryPattern(false).build(),
        CpuKernels.open(1).kernels(),
        cache);
  }
}
