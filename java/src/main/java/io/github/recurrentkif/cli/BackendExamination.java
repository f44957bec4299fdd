package io.github.recurrentkif.cli;

import io.github.recurrentkif.kernels.cpu.CpuKernels;
import io.github.recurrentkif.memory.CacheFolder;
import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.runtime.OnnxRuntime;
import io.github.recurrentkif.runtime.OnnxRuntimeException;
import io.github.recurrentkif.runtime.OperatorLibrary;
import java.util.ArrayList;
import java.util.List;

/** Which code computes here, and why not other code. */
final class BackendExamination implements Examination {

  @Override
  public String title() {
    return "Backends";
  }

  @Override
  public List<Finding> findings() {
    List<Finding> findings = new ArrayList<>();
    findings.add(runtime());
    findings.addAll(kernels());
    findings.add(operators());
    findings.add(Finding.ok("cache", CacheFolder.ofThisUser().path().toString()));
    return findings;
  }

  private static Finding runtime() {
    try (OnnxRuntime runtime = OnnxRuntime.load()) {
      return Finding.ok(
          "ONNX Runtime",
          runtime.version()
              + ", "
              + runtime.library().explanation()
              + ": "
              + runtime.libraryPath());
    } catch (OnnxRuntimeException e) {
      return Finding.failure(
          "ONNX Runtime",
          String.valueOf(e.getMessage()),
          "set KIF_ORT_LIBRARY to a library of version 1.20 or newer");
    }
  }

  private static Finding operators() {
    try {
      OperatorLibrary.Search found = OperatorLibrary.search();
      return Finding.ok(
          "operators",
          found
              .library()
              .map(library -> "training runs packed: " + found.explanation())
              .orElse("training runs padded: " + found.explanation()));
    } catch (InputException e) {
      return Finding.failure(
          "operators", String.valueOf(e.getMessage()), "unset " + OperatorLibrary.VARIABLE);
    }
  }

  private static List<Finding> kernels() {
    CpuKernels.Opened opened;
    try {
      opened = CpuKernels.open(Runtime.getRuntime().availableProcessors());
    } catch (InputException e) {
      return List.of(
          Finding.failure("kernels", String.valueOf(e.getMessage()), "unset KIF_KERNELS"));
    }
    try (var _ = opened.kernels()) {
      return opened.candidates().stream()
          .map(
              candidate ->
                  candidate.chosen()
                      ? Finding.ok(
                          "kernels: " + candidate.backend(), "in use: " + candidate.detail())
                      : Finding.ok("kernels: " + candidate.backend(), candidate.detail()))
          .toList();
    }
  }
}
