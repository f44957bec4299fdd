package io.github.recurrentkif.engine;

import io.github.recurrentkif.experiment.Backend;
import io.github.recurrentkif.experiment.Settings;
import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.kernels.cpu.CpuKernels;
import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.runtime.OnnxRuntime;
import io.github.recurrentkif.runtime.OperatorLibrary;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What computes, on the processor of this machine: kernels for vectors, ONNX Runtime for models.
 * Several may be open at once. Whatever was opened through an engine is to be closed before it; one
 * thread at a time uses a model.
 */
public final class Engine implements AutoCloseable {

  private final int threads;
  private final Kernels kernels;

  /** Opened with the first model. */
  private @Nullable OnnxRuntime runtime;

  private Engine(int threads, Kernels kernels) {
    this.threads = threads;
    this.kernels = kernels;
  }

  /** Opens an engine with a thread for each core. */
  public static Engine open() {
    return open(Runtime.getRuntime().availableProcessors());
  }

  /**
   * Opens an engine. Derived files (graphs, converted weights, unpacked libraries) are kept in the
   * folder that {@code KIF_CACHE} names, else in the cache of this user.
   *
   * @param threads the calling one included
   * @throws InputException if the environment asks for what there is not
   */
  public static Engine open(int threads) {
    return new Engine(threads, CpuKernels.open(threads).kernels());
  }

  private synchronized Backend backend() {
    if (runtime == null) {
      runtime = OnnxRuntime.load();
    }
    List<Path> operators =
        OperatorLibrary.search().library().map(OperatorLibrary::path).stream().toList();
    return Backend.onProcessor(runtime, kernels, threads, operators, true);
  }

  /** The operations of the method on flat vectors. */
  public Kernels kernels() {
    return kernels;
  }

  /** A model with a new adapter, as {@code settings} describe it. */
  public LanguageModel model(Path folder, Map<String, String> settings) {
    return LanguageModel.withNewAdapter(backend(), folder, Settings.defaults().with(settings));
  }

  /**
   * A model with an adapter that PEFT, or a run, has written.
   *
   * @param folder of Hugging Face: T5, LLaMA, Qwen2 or Qwen3
   * @param settings names and values as in a run's configuration; those of the adapter itself
   *     ({@code lora-*}) are of no meaning here
   * @throws InputException if the model, the adapter or a setting cannot be used
   */
  public LanguageModel model(Path folder, Path adapter, Map<String, String> settings) {
    return LanguageModel.withAdapter(
        backend(), folder, adapter, Settings.defaults().with(settings));
  }

  @Override
  public synchronized void close() {
    kernels.close();
    if (runtime != null) {
      runtime.close();
    }
  }
}
