package io.github.recurrentkif.cli;

import io.github.recurrentkif.experiment.Backend;
import io.github.recurrentkif.experiment.BackendRequest;
import io.github.recurrentkif.kernels.cpu.CpuKernels;
import io.github.recurrentkif.kernels.cuda.CudaKernels;
import io.github.recurrentkif.memory.CacheFolder;
import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.runtime.ExecutionProvider;
import io.github.recurrentkif.runtime.OnnxRuntime;
import io.github.recurrentkif.runtime.OnnxRuntimeException;
import io.github.recurrentkif.runtime.OperatorLibrary;
import io.github.recurrentkif.runtime.SessionOptions;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** What computes, as options of a command. */
final class BackendOptions {

  private static final Pattern CUDA = Pattern.compile("cuda(?::([0-9]{1,4}))?");

  @Option(
      names = "--device",
      paramLabel = "DEVICE",
      description =
          "Where to compute: cpu, cuda (the first GPU) or cuda:N (default: cpu). A GPU needs an"
              + " ONNX Runtime with CUDA, by --onnx-runtime or KIF_ORT_LIBRARY.")
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
              + " without padding, on our operators), padded (one pass each, stock operators),"
              + " recorded (padded to a few lengths, each recorded once and repeated as one launch;"
              + " a GPU only) or auto (packed where there are our operators; default).")
  private @Nullable String graph;

  @Option(
      names = "--lean",
      description =
          "Give memory back between runs of the model and, on padded graphs, compute without packed"
              + " copies of the weights: slower, with less memory.")
  private @Nullable Boolean lean;

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
    Matcher cuda = CUDA.matcher(device);
    if (cuda.matches()) {
      String ordinal = cuda.group(1);
      return openCuda(device, ordinal == null ? 0 : Integer.parseInt(ordinal), asked);
    }
    if (!device.equals("cpu")) {
      throw new InputException("--device must be cpu, cuda or cuda:N, not '" + device + "'");
    }
    int count = threads == 0 ? Runtime.getRuntime().availableProcessors() : threads;
    OnnxRuntime runtime = runtime(asked.library());
    return Backend.onProcessor(
        runtime,
        CpuKernels.open(count).kernels(),
        count,
        operators(asked.graph().orElse("auto")),
        !asked.lean().orElse(false));
  }

  /** The driver first: without a GPU nothing else matters. */
  private static Backend openCuda(String device, int ordinal, BackendRequest asked) {
    boolean recorded =
        switch (asked.graph().orElse("auto")) {
          case "auto", "padded" -> false;
          case "recorded" -> true;
          case "packed" ->
              throw new InputException(
                  "--graph packed: our operators run on the processor only; with --device "
                      + device
                      + " there are padded and recorded");
          case String other -> throw unknownGraph(other);
        };
    CudaKernels kernels;
    try {
      kernels = CudaKernels.open(ordinal);
    } catch (InputException e) {
      throw new InputException("--device " + device + ": " + e.getMessage(), e);
    }
    boolean opened = false;
    try {
      var provider = new ExecutionProvider.Cuda(ordinal, kernels.queue(), recorded);
      OnnxRuntime runtime = runtime(asked.library());
      try {
        runtime.requireCuda(provider);
      } catch (OnnxRuntimeException e) {
        runtime.close();
        throw new InputException(
            "--device "
                + device
                + ": "
                + runtime.libraryPath()
                + " does not compute on a GPU ("
                + e.getMessage()
                + "); --onnx-runtime FILE or KIF_ORT_LIBRARY name a library with CUDA, and"
                + " LD_LIBRARY_PATH the folders of cuBLAS, cuRAND and cuDNN; see docs/cuda.md",
            e);
      }
      SessionOptions options =
          SessionOptions.builder().provider(provider).memoryPattern(false).build();
      opened = true;
      return new Backend(runtime, options, kernels, CacheFolder.ofThisUser().path());
    } finally {
      if (!opened) {
        kernels.close();
      }
    }
  }

  private static InputException unknownGraph(String graph) {
    return new InputException(
        "--graph must be auto, packed, padded or recorded, not '" + graph + "'");
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
      case "recorded" ->
          throw new InputException("--graph recorded: only a GPU repeats what it recorded");
      default -> throw unknownGraph(graph);
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
