package io.github.recurrentkif.experiment;

import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.model.ModelFolder;
import io.github.recurrentkif.model.Trainables;
import io.github.recurrentkif.model.TrainingArtifacts;
import io.github.recurrentkif.runtime.OnnxRuntime;
import io.github.recurrentkif.runtime.SessionOptions;
import io.github.recurrentkif.training.TextModel;
import java.nio.file.Path;

/**
 * What computes: ONNX Runtime for the graphs, the kernels for the vectors, and the folder where
 * derived files are kept. Closing it closes both.
 */
public record Backend(OnnxRuntime runtime, SessionOptions options, Kernels kernels, Path cache)
    implements AutoCloseable {

  /** How batches are run in training: {@code packed} or {@code padded}. */
  public String graph() {
    return options.customOperatorLibraries().isEmpty() ? "padded" : "packed";
  }

  /** A model whose trainable weights are still zero; its artifacts are prepared if need be. */
  public TextModel open(ModelFolder model, Trainables trainables) {
    return open(model, trainables, true);
  }

  /** The same without any dropout, whatever the model and the adapter ask for: for comparisons. */
  public TextModel openWithoutDropout(ModelFolder model, Trainables trainables) {
    return open(model, trainables, false);
  }

  private TextModel open(ModelFolder model, Trainables trainables, boolean dropout) {
    return new TextModel(
        model,
        TrainingArtifacts.prepare(model.config(), trainables, dropout, cache),
        runtime,
        options,
        kernels);
  }

  @Override
  public void close() {
    kernels.close();
    runtime.close();
  }
}
