package io.github.recurrentkif.cli;

import io.github.recurrentkif.data.Tokenizer;
import io.github.recurrentkif.experiment.Backend;
import io.github.recurrentkif.experiment.Evaluation;
import io.github.recurrentkif.experiment.SampleFormat;
import io.github.recurrentkif.experiment.Settings;
import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.model.ModelFolder;
import io.github.recurrentkif.model.StoredAdapter;
import io.github.recurrentkif.model.Trainables;
import io.github.recurrentkif.training.TextModel;
import java.nio.file.Path;
import java.util.function.ToIntFunction;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** A model to ask, with or without an adapter, as options of a command. */
final class AnswerOptions {

  private static final int LARGEST_COUNT = 1_000_000;

  @Option(
      names = "--model",
      required = true,
      paramLabel = "DIR",
      description = "A Hugging Face folder: config.json, *.safetensors, tokenizer.json.")
  private Path model;

  @Option(
      names = "--adapter",
      paramLabel = "DIR",
      description = "A LoRA adapter as PEFT or a run of kif writes it.")
  private @Nullable Path adapter;

  @Option(
      names = "--maximum-new-tokens",
      paramLabel = "N",
      defaultValue = "128",
      description = "Tokens an answer may have (default: ${DEFAULT-VALUE}).")
  private int maximumNewTokens;

  @Option(
      names = "--batch-size",
      paramLabel = "N",
      defaultValue = "64",
      description =
          "Most samples decoded together, fewer where they are long (default: ${DEFAULT-VALUE}).")
  private int batchSize;

  @Mixin private BackendOptions backendOptions;

  private static void requireCount(String option, int value) {
    if (value < 1 || value > LARGEST_COUNT) {
      throw new InputException(
          option
              + " should be a whole number from 1 to "
              + LARGEST_COUNT
              + ", got '"
              + value
              + "'");
    }
  }

  /**
   * Opens everything, asks, and closes everything.
   *
   * @param settings in what form samples are asked: those somebody chose
   */
  int with(Settings settings, ToIntFunction<Evaluation> work) {
    requireCount("--maximum-new-tokens", maximumNewTokens);
    requireCount("--batch-size", batchSize);
    StoredAdapter peft = adapter == null ? null : StoredAdapter.open(adapter);
    Trainables trainables =
        peft == null ? new Trainables.Nothing() : new Trainables.Adapter(peft.config());
    try (Backend backend = backendOptions.open(0);
        ModelFolder folder = ModelFolder.open(model, backend.cache());
        Tokenizer tokenizer = Tokenizer.open(model);
        TextModel text = backend.open(folder, trainables)) {
      if (peft != null) {
        peft.load(text.weights());
      }
      SampleFormat format =
          new SampleFormat(folder.config(), tokenizer, settings.forModel(folder.config()));
      return work.applyAsInt(
          new Evaluation(tokenizer, format::prompt, text::decoder, batchSize, maximumNewTokens));
    }
  }
}
