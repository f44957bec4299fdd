package io.github.recurrentkif.cli;

import io.github.recurrentkif.experiment.Backend;
import io.github.recurrentkif.experiment.BackendRequest;
import io.github.recurrentkif.kernels.cpu.CpuKernels;
import io.github.recurrentkif.kernels.cuda.CudaKernels;
import io.github.recurrentkif.kernels.cuda.CudaKernels.Availability;
import io.github.recurrentkif.memory.CacheFolder;
import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.runtime.OnnxRuntime;
import io.github.recurrentkif.runtime.OnnxRuntimeException;
import io.github.recurrentkif.runtime.OperatorLibrary;
import io.github.recurrentkif.runtime.SessionOptions;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** What computes, as options of a command. */
final class BackendOptions {

  @Option(
      names = "--device",
      paramLabel = "DEVICE",
      description = "Where to compute: cpu (default: cpu).")
  private @Nullable String device;

  @Option(
      names = "--onnx-runtime",
      paramLabel = "FILE",
      description = "Another ONNX Runtime library than the one that comes with kif.")
  private @Nullable Path library;

  @Option(
      names = "--graph",
      paramLabel = "HOW",
      description =
          "How batches are run in training: packed (all micro-batches of an update in one pass"
              + " without padding, on our operators), padded (one pass each, stock operators) or"
              + " auto (packed where there are our operators; default).")
  private @Nullable String graph;

  @Option(
      names = "--lean",
      description =
          "Compute with the weights where they are mapped, instead of with packed copies: slower,"
              + " with less memory, which several processes on one model share.")
  private @Nullable Boolean lean;

  /** Why not, from the most certain reason: without a GPU nothing else matters. */
  private static InputException refuseCuda(String device) {
    Availability gpu = CudaKernels.examine();
    if (!gpu.available()) {
      return new InputException("--device " + device + ": " + gpu.detail());
    }
    return new InputException(
        "--device "
            + device
            + ": the kernels run on this GPU ("
            + gpu.detail()
            + "), but the graphs of a model only on the processor in this build; use --device cpu");
  }

  /** What was said on the command line. */
  BackendRequest asked() {
    return new BackendRequest(
        Optional.ofNullable(device),
        Optional.ofNullable(library),
        Optional.ofNullable(graph),
        Optional.ofNullable(lean));
  }

  /**
   * Opens the backend.
   *
   * @param threads 0 for one for each core
   */
  Backend open(int threads) {
    return open(threads, asked());
  }

  /**
   * Opens the backend that a request names.
   *
   * @param threads 0 for one for each core
   */
  static Backend open(int threads, BackendRequest asked) {
    String device = asked.device().orElse("cpu");
    if (device.equals("cuda") || device.startsWith("cuda:")) {
      throw refuseCuda(device);
    }
    if (!device.equals("cpu")) {
      throw new InputException(
          "--device " + device + " is not available in this build; there is: cpu");
    }
    int count = threads == 0 ? Runtime.getRuntime().availableProcessors() : threads;
    OnnxRuntime runtime = runtime(asked.library());
    SessionOptions options =
        SessionOptions.builder()
            .intraOpThreads(count)
            .memoryPattern(false)
            .customOperatorLibraries(operators(asked.graph().orElse("auto")))
            .prepacking(!asked.lean().orElse(false))
            .build();
    return new Backend(
        runtime, options, CpuKernels.open(count).kernels(), CacheFolder.ofThisUser().path());
  }

  /**
   * @throws InputException if packed graphs are asked for, and there is nothing to run them
   */
  private static List<Path> operators(String graph) {
    return switch (graph) {
      case "padded" -> List.of();
      case "auto", "packed" -> {
        OperatorLibrary.Search found = OperatorLibrary.search();
        if (found.library().isEmpty() && graph.equals("packed")) {
          throw new InputException("--graph packed: " + found.explanation());
        }
        yield found.library().map(OperatorLibrary::path).stream().toList();
      }
      default ->
          throw new InputException("--graph must be auto, packed or padded, not '" + graph + "'");
    };
  }

  private static OnnxRuntime runtime(Optional<Path> library) {
    try {
      return library.map(OnnxRuntime::load).orElseGet(OnnxRuntime::load);
    } catch (OnnxRuntimeException e) {
      throw new InputException(
          e.getMessage()
              + "; --onnx-runtime FILE or KIF_ORT_LIBRARY name the library to use, without them"
              + " kif takes its own",
          e);
    }
  }
}
