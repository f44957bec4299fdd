package io.github.recurrentkif.cli;

import io.github.recurrentkif.experiment.Settings;
import io.github.recurrentkif.memory.CacheFolder;
import io.github.recurrentkif.model.ModelFolder;
import io.github.recurrentkif.model.Precisions;
import io.github.recurrentkif.model.Trainables;
import io.github.recurrentkif.model.TrainingArtifacts;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code kif prepare}: writes the training artifacts of a model ahead of time. */
@Command(
    name = "prepare",
    description =
        "Write the training graphs of a model, and its weights as float32 where they are not;"
            + " train does it by itself when needed.")
final class PrepareCommand implements Callable<Integer> {

  private final Terminal terminal;

  @Parameters(paramLabel = "MODEL", description = "A Hugging Face folder.")
  private Path model;

  @Option(
      names = "--set",
      paramLabel = "KEY=VALUE",
      description = "A setting of the run to come: lora-rank, lora-targets, ...")
  private Map<String, String> settings = new LinkedHashMap<>();

  PrepareCommand(Terminal terminal) {
    this.terminal = terminal;
  }

  @Override
  public Integer call() {
    Path cache = CacheFolder.ofThisUser().path();
    try (ModelFolder folder = ModelFolder.open(model, cache)) {
      Settings chosen = Settings.defaults().with(settings).forModel(folder.config());
      TrainingArtifacts artifacts =
          TrainingArtifacts.prepare(
              folder.config(),
              new Trainables.Adapter(chosen.lora()),
              true,
              Precisions.onProcessor(chosen.get(Settings.PRECISION)),
              cache);
      // Each weight the graphs read must be there and fit.
      artifacts
          .training()
          .frozen()
          .forEach((name, parameter) -> folder.weight(name, parameter.shape()));
      terminal.out().println(artifacts.folder());
      folder.convertedFile().ifPresent(terminal.out()::println);
      terminal
          .err()
          .println(
              artifacts.layout().elements()
                  + " trainable parameters in "
                  + artifacts.layout().tensors().size()
                  + " tensors");
      return ExitCode.OK;
    }
  }
}
