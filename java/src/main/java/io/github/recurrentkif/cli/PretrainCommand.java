package io.github.recurrentkif.cli;

import io.github.recurrentkif.experiment.Backend;
import io.github.recurrentkif.experiment.BuiltInModel;
import io.github.recurrentkif.experiment.Pretraining;
import io.github.recurrentkif.experiment.PretrainingRecipe;
import io.github.recurrentkif.experiment.PretrainingSettings;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.CancellationException;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code kif pretrain}: makes a small model from nothing. */
@Command(
    name = "pretrain",
    description =
        "Train all weights of a small T5 or LLaMA from scratch: on text, and on prompts of tasks or"
            + " of a generated world.")
final class PretrainCommand implements Callable<Integer> {

  private static final String BUILT_IN = "built-in";

  private final Terminal terminal;

  @Option(
      names = "--config",
      paramLabel = "FILE",
      defaultValue = BUILT_IN,
      description =
          "A recipe (JSON: config, settings, tokenizer, text, tasks, weights), or built-in for that"
              + " of the model that comes with kif (default: ${DEFAULT-VALUE}).")
  private String config;

  @Option(
      names = "--output",
      required = true,
      paramLabel = "DIR",
      description = "The folder that becomes a Hugging Face model.")
  private Path output;

  @Option(
      names = "--set",
      paramLabel = "KEY=VALUE",
      description = "A setting; they are listed below.")
  private Map<String, String> settings = new LinkedHashMap<>();

  @Option(names = "--resume", description = "Go on with a pretraining that was stopped or killed.")
  private boolean resume;

  @Mixin private BackendOptions backendOptions;

  @Spec private CommandSpec spec;

  PretrainCommand(Terminal terminal) {
    this.terminal = terminal;
  }

  @Spec
  void listSettings(CommandSpec commandSpec) {
    SettingsHelp.addTo(commandSpec, PretrainingSettings.all());
  }

  @Override
  public Integer call() {
    if (resume && !settings.isEmpty()) {
      throw new picocli.CommandLine.ParameterException(
          spec.commandLine(), "--resume goes on with the settings it has; leave --set out");
    }
    if (resume) {
      try (Backend backend = backendOptions.open(0);
          Pretraining pretraining = Pretraining.resume(output, backend)) {
        return execute(pretraining);
      }
    }
    PretrainingRecipe recipe =
        (config.equals(BUILT_IN)
                ? BuiltInModel.extractRecipe(output)
                : PretrainingRecipe.read(Path.of(config)))
            .with(settings);
    try (Backend backend = backendOptions.open(recipe.settings().get(PretrainingSettings.THREADS));
        Pretraining pretraining = Pretraining.begin(output, recipe, backend)) {
      return execute(pretraining);
    }
  }

  private int execute(Pretraining pretraining) {
    try (Interruption interruption = new Interruption(terminal);
        RunView view = RunView.of(terminal, 1, List.of())) {
      interruption.workBegins(view::notice);
      pretraining.run(view, interruption);
    } catch (CancellationException e) {
      terminal.err().println("kif: stopped; go on with: kif pretrain --resume --output " + output);
      return ExitCode.INTERRUPTED;
    }
    terminal.out().println("model: " + output);
    return ExitCode.OK;
  }
}
