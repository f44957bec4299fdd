package io.github.recurrentkif.cli;

import io.github.recurrentkif.experiment.Backend;
import io.github.recurrentkif.experiment.ContinualRun;
import io.github.recurrentkif.experiment.MethodName;
import io.github.recurrentkif.experiment.RunConfiguration;
import io.github.recurrentkif.experiment.RunFolder;
import io.github.recurrentkif.experiment.RunResult;
import io.github.recurrentkif.experiment.Settings;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.CancellationException;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code kif train}: learns tasks one after another. */
@Command(
    name = "train",
    sortOptions = false,
    customSynopsis = "kif train --model=DIR --data=DIR --tasks=TASK,TASK... --output=RUN [OPTIONS]",
    description = "Learn tasks one after another and measure what is forgotten.")
final class TrainCommand implements Callable<Integer> {

  private final Terminal terminal;

  @Option(
      names = "--model",
      required = true,
      paramLabel = "DIR",
      description = "A Hugging Face folder: config.json, *.safetensors, tokenizer.json.")
  private Path model;

  @Option(
      names = "--data",
      required = true,
      paramLabel = "DIR",
      description = "The folder with train/TASK.json, dev/ and test/.")
  private Path data;

  @Option(
      names = "--tasks",
      required = true,
      split = ",",
      paramLabel = "TASK",
      description = "The tasks, separated by commas, in the order to learn them.")
  private List<String> tasks;

  @Option(
      names = "--output",
      required = true,
      paramLabel = "RUN",
      description = "The folder for everything the run writes; must be new.")
  private Path output;

  @Option(
      names = "--method",
      paramLabel = "METHOD",
      defaultValue = "recurrent-kif",
      description = "recurrent-kif, sequential-lora or lora-replay (default: ${DEFAULT-VALUE}).")
  private String method;

  @Option(
      names = "--set",
      paramLabel = "KEY=VALUE",
      description = "A setting; may be repeated. They are listed below.")
  private Map<String, String> settings = new LinkedHashMap<>();

  @Mixin private BackendOptions backendOptions;

  TrainCommand(Terminal terminal) {
    this.terminal = terminal;
  }

  @Spec
  void listSettings(CommandLine.Model.CommandSpec spec) {
    SettingsHelp.addTo(spec, Settings.all());
  }

  @Override
  public Integer call() {
    Settings chosen = Settings.defaults().with(settings);
    RunConfiguration configuration =
        new RunConfiguration(model, data, tasks, MethodName.parse(method), chosen);
    try (Backend backend = backendOptions.open(chosen.get(Settings.THREADS));
        ContinualRun run = ContinualRun.begin(output, configuration, backend)) {
      return execute(run, configuration, output, terminal);
    }
  }

  /** Runs to the end, or to a clean stop. */
  static int execute(
      ContinualRun run, RunConfiguration configuration, Path output, Terminal terminal) {
    List<String> withoutTest = run.tasksWithoutTest();
    if (!withoutTest.isEmpty()) {
      terminal
          .err()
          .println(
              "note: no test file for "
                  + String.join(", ", withoutTest)
                  + "; the development file stands in");
    }
    try (Interruption interruption = new Interruption(terminal)) {
      RunResult result;
      try (RunProgress progress = new RunProgress(terminal, configuration.tasks().size())) {
        result = run.run(progress, interruption);
      } catch (CancellationException e) {
        terminal.err().println("kif: stopped; go on with: kif resume " + output);
        return ExitCode.INTERRUPTED;
      }
      terminal.out().println();
      terminal.out().print(ResultTable.of(result));
      terminal.out().println("\nrun folder: " + output);
      return ExitCode.OK;
    }
  }

  /** {@code kif resume}: goes on with a run. */
  @Command(
      name = "resume",
      description = "Go on with a run that was stopped or killed, to the same numbers.")
  static final class Resume implements Callable<Integer> {

    private final Terminal terminal;

    @CommandLine.Parameters(paramLabel = "RUN", description = "The run's folder.")
    private Path folder;

    @Mixin private BackendOptions backendOptions;

    Resume(Terminal terminal) {
      this.terminal = terminal;
    }

    @Override
    public Integer call() {
      RunFolder runFolder = RunFolder.open(folder);
      RunConfiguration configuration;
      Backend backend;
      try {
        configuration = ContinualRun.configurationOf(runFolder);
        backend = backendOptions.open(configuration.settings().get(Settings.THREADS));
      } catch (RuntimeException e) {
        runFolder.close();
        throw e;
      }
      try (backend;
          ContinualRun run = ContinualRun.resume(runFolder, backend)) {
        return execute(run, configuration, folder, terminal);
      }
    }
  }
}
