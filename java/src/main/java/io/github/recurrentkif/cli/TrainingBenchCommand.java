package io.github.recurrentkif.cli;

import io.github.recurrentkif.experiment.Backend;
import io.github.recurrentkif.experiment.Settings;
import io.github.recurrentkif.experiment.TrainingRequests;
import io.github.recurrentkif.memory.InputException;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParentCommand;

/** {@code kif bench training}. */
@Command(
    name = "training",
    description = {
      "Do updates, cycles and decoding on batches that another program sends, and say how long each"
          + " took: one JSON object a line, in and out.",
      "bench/compare-training compares PyTorch with it."
    })
final class TrainingBenchCommand implements Callable<Integer> {

  @ParentCommand private BenchCommand parent;

  @Option(
      names = "--model",
      required = true,
      paramLabel = "DIR",
      description = "A Hugging Face folder.")
  private Path model;

  @Option(
      names = "--adapter",
      required = true,
      paramLabel = "DIR",
      description = "The LoRA adapter to train.")
  private Path adapter;

  @Option(
      names = "--dropout",
      description =
          "Drop as the model's and the adapter's configurations say (default: not at all).")
  private boolean dropout;

  @Option(
      names = "--threads",
      paramLabel = "T",
      defaultValue = "0",
      description = "Of the processor (default: one for each core).")
  private int threads;

  @Option(
      names = "--tokens-per-pass",
      paramLabel = "N",
      defaultValue = "4096",
      description = "The setting of that name (default: 4096).")
  private int tokensPerPass;

  @Option(
      names = "--precision",
      paramLabel = "PRECISION",
      defaultValue = "float32",
      description =
          "The setting of that name: float32, bf16-backward (not on a GPU) or bf16"
              + " (default: float32).")
  private String precision;

  @Option(
      names = "--profile",
      paramLabel = "PREFIX",
      description =
          "Have ONNX Runtime write how long each node takes, to files whose names begin so;"
              + " bench/python/node_times.py adds them up.")
  private @Nullable Path profile;

  @Mixin private BackendOptions backendOptions;

  @Override
  public Integer call() throws IOException {
    if (threads < 0) {
      throw new InputException("--threads: expected 0 or more, found " + threads);
    }
    if (tokensPerPass < 0) {
      throw new InputException("--tokens-per-pass: expected 0 or more, found " + tokensPerPass);
    }
    Settings chosen = Settings.defaults().with(Map.of(Settings.PRECISION.name(), precision));
    BufferedReader in =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    try (Backend backend = open();
        TrainingRequests requests =
            new TrainingRequests(
                backend, model, adapter, dropout, tokensPerPass, chosen.get(Settings.PRECISION))) {
      for (String line = in.readLine(); line != null; line = in.readLine()) {
        parent.terminal.out().println(requests.answer(line));
        parent.terminal.out().flush();
      }
    }
    return ExitCode.OK;
  }

  private Backend open() {
    Backend backend = backendOptions.open(threads);
    return profile == null ? backend : backend.profiling(profile);
  }
}
