package io.github.recurrentkif.experiment;

import io.github.recurrentkif.RequiredOperators;
import io.github.recurrentkif.kernels.cpu.CpuKernels;
import io.github.recurrentkif.memory.CacheFolder;
import io.github.recurrentkif.runtime.OnnxRuntime;
import io.github.recurrentkif.runtime.SessionOptions;
import java.nio.file.Path;
import java.util.List;

/** Backends of one thread. */
final class TestBackend {

  private TestBackend() {}

  /** On the stock runtime. */
  static Backend open(Path cache) {
    return open(cache, List.of());
  }

  /** With our operators, without which the test is skipped. */
  static Backend withOperators(Path cache) {
    return open(cache, List.of(RequiredOperators.library(CacheFolder.ofThisUser()).path()));
  }

  private static Backend open(Path cache, List<Path> operators) {
    return new Backend(
        OnnxRuntime.load(),
        SessionOptions.builder()
            .intraOpThreads(1)
            .memoryPattern(false)
            .customOperatorLibraries(operators)
            .build(),
        CpuKernels.open(1).kernels(),
        cache);
  }
}
