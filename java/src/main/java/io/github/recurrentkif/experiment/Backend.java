package io.github.recurrentkif.experiment;

import io.github.recurrentkif.graph.operators.Precision;
import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.kernels.cuda.CudaKernels;
import io.github.recurrentkif.memory.CacheFolder;
import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.model.ModelFolder;
import io.github.recurrentkif.model.Precisions;
import io.github.recurrentkif.model.Trainables;
import io.github.recurrentkif.model.TrainingArtifacts;
import io.github.recurrentkif.runtime.ExecutionProvider;
import io.github.recurrentkif.runtime.OnnxRuntime;
import io.github.recurrentkif.runtime.OperatorLibrary;
import io.github.recurrentkif.runtime.SessionOptions;
import io.github.recurrentkif.training.TextModel;
import java.nio.file.Path;
import java.util.List;

/**
 * What computes: ONNX Runtime for the graphs, the kernels for the vectors, and the folder where
 * derived files are kept. Closing it closes both.
 */
public record Backend(OnnxRuntime runtime, SessionOptions options, Kernels kernels, Path cache)
    implements AutoCloseable {

  /**
   * The backend on the processor; derived files are kept in the cache of this user.
   *
   * @param operators libraries of operators; without any, graphs are padded
   * @param prepacking whether sessions keep copies of the weights in the order that is fastest
   */
  public static Backend onProcessor(
      OnnxRuntime runtime, Kernels kernels, int threads, List<Path> operators, boolean prepacking) {
    SessionOptions options =
        SessionOptions.builder()
            .intraOpThreads(threads)
            .memoryPattern(false)
            .customOperatorLibraries(operators)
            .prepacking(prepacking)
            .build();
    return new Backend(runtime, options, kernels, CacheFolder.ofThisUser().path());
  }

  /**
   * The same machinery, where each session writes how long its nodes take, in Chrome's trace
   * format.
   *
   * @param prefix what the names of the files begin with; the name of the graph and the time follow
   */
  public Backend profiling(Path prefix) {
    return new Backend(runtime, options.withProfile(prefix), kernels, cache);
  }

  /** How batches are run in training: {@code packed}, {@code padded} or {@code recorded}. */
  public String graph() {
    if (options.provider().records()) {
      return "recorded";
    }
    return options.customOperatorLibraries().isEmpty() ? "padded" : "packed";
  }

  /** A model whose trainable weights are still zero; its artifacts are prepared if need be. */
  public TextModel open(ModelFolder model, Trainables trainables) {
    return open(model, trainables, Precision.FLOAT32);
  }

  /**
   * The same, for training in a precision.
   *
   * @throws InputException if this backend cannot, or is slower than in float32
   */
  public TextModel open(ModelFolder model, Trainables trainables, Precision precision) {
    return open(model, trainables, precision, true);
  }

  /** The same without any dropout, whatever the model and the adapter ask for: for comparisons. */
  public TextModel openWithoutDropout(ModelFolder model, Trainables trainables) {
    return openWithoutDropout(model, trainables, Precision.FLOAT32);
  }

  /** The same, for training in a precision. */
  public TextModel openWithoutDropout(
      ModelFolder model, Trainables trainables, Precision precision) {
    return open(model, trainables, precision, false);
  }

  /**
   * @throws InputException if this backend cannot train in that precision, or is slower than in
   *     float32
   */
  public void require(Precision precision) {
    if (precision == Precision.FLOAT32) {
      return;
    }
    String asked = "precision " + Setting.print(precision) + ": ";
    if (precisions(precision).padded() == Precision.BF16) {
      if (kernels instanceof CudaKernels cuda && !cuda.multipliesBfloat16()) {
        throw new InputException(
            asked
                + "GPUs multiply bfloat16 from compute capability 8.0 on, and this is "
                + cuda.description()
                + "; use float32");
      }
      return;
    }
    if (options.customOperatorLibraries().isEmpty()) {
      throw new InputException(
          asked
              + "only packed graphs have it, which need a build with a C compiler and not --graph"
              + " padded, or for bf16 --device cuda; use float32");
    }
    OperatorLibrary.search()
        .library()
        .filter(library -> !library.fastBf16())
        .ifPresent(
            library -> {
              throw new InputException(
                  asked
                      + "this processor (operators for "
                      + library.tier()
                      + ") has no fast products of bfloat16, float32 is faster; it needs AMX, or"
                      + " AVX-512 BF16 of AMD");
            });
  }

  private Precisions precisions(Precision precision) {
    return Precisions.of(precision, onGpu());
  }

  private boolean onGpu() {
    return options.provider() instanceof ExecutionProvider.Cuda;
  }

  private TextModel open(
      ModelFolder model, Trainables trainables, Precision precision, boolean dropout) {
    TrainingArtifacts artifacts = artifacts(model, trainables, precision, dropout);
    return new TextModel(model, trainables, artifacts, runtime, options, kernels);
  }

  /**
   * Writes the graphs of a training to come where they are not there yet, and looks whether the
   * model has every weight that they read; what the processor reads in float32 is converted.
   *
   * @throws InputException if something cannot be used, or as {@link #require}
   */
  void prepare(ModelFolder model, Trainables trainables, Precision precision) {
    artifacts(model, trainables, precision, true).requireWeights(model, onGpu());
  }

  private TrainingArtifacts artifacts(
      ModelFolder model, Trainables trainables, Precision precision, boolean dropout) {
    require(precision);
    return TrainingArtifacts.prepare(
        model.config(), trainables, dropout, precisions(precision), cache);
  }

  @Override
  public void close() {
    kernels.close();
    runtime.close();
  }
}
