package io.github.recurrentkif.cli;

import io.github.recurrentkif.experiment.Backend;
import io.github.recurrentkif.experiment.ContinualRun;
import io.github.recurrentkif.experiment.MethodName;
import io.github.recurrentkif.experiment.RunConfiguration;
import io.github.recurrentkif.experiment.RunFolder;
import io.github.recurrentkif.experiment.RunRequest;
import io.github.recurrentkif.experiment.RunResult;
import io.github.recurrentkif.experiment.Settings;
import java.io.PrintStream;
import java.nio.file.Path;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.CancellationException;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code kif train}: learns tasks one after another. */
@Command(
    name = "train",
    sortOptions = false,
    customSynopsis = {
      "kif train --model=DIR --data=DIR --tasks=TASK,TASK... --output=RUN [OPTIONS]",
      "       kif train --config=FILE [--config=FILE]... [OPTIONS]"
    },
    description = "Learn tasks one after another and measure what is forgotten.")
final class TrainCommand implements Callable<Integer> {

  private static final String WORKER = "--worker";
  private static final String WORKER_DESCRIPTION =
      "As a process of a sweep: tells it how far the run is, and stops when the input ends.";

  private final Terminal terminal;

  @Option(
      names = "--config",
      paramLabel = "FILE",
      description =
          "A YAML file that holds any of what follows ('kif config' prints one); may be repeated."
              + " Later files win over earlier ones, the command line over all.")
  private List<Path> files = List.of();

  @Option(
      names = "--model",
      paramLabel = "DIR",
      description = "A Hugging Face folder: config.json, *.safetensors, tokenizer.json.")
  private @Nullable Path model;

  @Option(
      names = "--data",
      paramLabel = "DIR",
      description = "The folder with train/TASK.json, dev/ and test/.")
  private @Nullable Path data;

  @Option(
      names = "--tasks",
      split = ",",
      paramLabel = "TASK",
      description = "The tasks, separated by commas, in the order to learn them.")
  private @Nullable List<String> tasks;

  @Option(
      names = "--output",
      paramLabel = "RUN",
      description = "The folder for everything the run writes; must be new.")
  private @Nullable Path output;

  @Option(
      names = "--method",
      paramLabel = "METHOD",
      completionCandidates = Methods.class,
      description = "How to learn; they are listed below (default: recurrent-kif).")
  private @Nullable String method;

  @Option(
      names = "--set",
      paramLabel = "KEY=VALUE",
      description = "A setting; may be repeated. They are listed below.")
  private Map<String, String> settings = new LinkedHashMap<>();

  @Option(names = WORKER, hidden = true, description = WORKER_DESCRIPTION)
  private boolean worker;

  @Mixin private BackendOptions backendOptions;

  TrainCommand(Terminal terminal) {
    this.terminal = terminal;
  }

  /** The names of the methods, for help and completion. */
  private static final class Methods implements Iterable<String> {
    @Override
    public Iterator<String> iterator() {
      return MethodName.texts().iterator();
    }
  }

  @Spec
  void listSettings(CommandLine.Model.CommandSpec spec) {
    SettingsHelp.addMethodsTo(spec, List.of(MethodName.values()));
    SettingsHelp.addTo(spec, Settings.all());
  }

  private RunRequest request() {
    RunRequest request = ConfigCommand.read(files);
    RunRequest typed =
        new RunRequest(
            Optional.ofNullable(model),
            Optional.ofNullable(data),
            Optional.ofNullable(tasks),
            Optional.ofNullable(method),
            Optional.ofNullable(output),
            backendOptions.asked(),
            settings);
    return request.with(typed);
  }

  @Override
  public Integer call() {
    RunRequest request = request();
    RunConfiguration configuration = request.configuration();
    Path folder = request.requiredOutput();
    try (Interruption interruption = interruption(folder, terminal);
        Backend backend =
            BackendOptions.open(configuration.settings().get(Settings.THREADS), request.backend());
        ContinualRun run = ContinualRun.begin(folder, configuration, backend)) {
      return execute(run, configuration, folder, terminal, interruption, worker);
    }
  }

  private static Interruption interruption(Path folder, Terminal terminal) {
    return new Interruption(
        terminal,
        () ->
            RunFolder.holdsRun(folder)
                ? "kif: stopped before training went on; go on with: "
                    + ShellCommand.kif("resume", folder)
                : "kif: stopped before training began; nothing is lost: the same command begins"
                    + " it");
  }

  /** Runs to the end, or to a clean stop. */
  private static int execute(
      ContinualRun run,
      RunConfiguration configuration,
      Path output,
      Terminal terminal,
      Interruption interruption,
      boolean worker) {
    List<String> withoutTest = run.tasksWithoutTest();
    if (!withoutTest.isEmpty()) {
      terminal
          .err()
          .println(
              "note: no test file for "
                  + String.join(", ", withoutTest)
                  + "; the development file stands in");
    }
    String resume = ShellCommand.kif("resume", output);
    RunResult result;
    int tasks = configuration.tasks().size();
    List<String> opening =
        List.of("run folder: " + output, "whatever stops it, this goes on: " + resume);
    if (worker) {
      interruption.alsoAtEndOf(System.in);
    }
    try (RunView view =
        worker ? new WorkerView(terminal, tasks, opening) : RunView.of(terminal, tasks, opening)) {
      interruption.workBegins(view::notice);
      result = stoppable(run, view, interruption, resume);
    } catch (CancellationException e) {
      terminal.err().println("kif: stopped; go on with: " + resume);
      return ExitCode.INTERRUPTED;
    }
    PrintStream results = worker ? terminal.err() : terminal.out();
    results.println();
    results.print(ResultTable.of(result));
    results.println("\nrun folder: " + output);
    return ExitCode.OK;
  }

  private static RunResult stoppable(
      ContinualRun run, RunView view, Interruption interruption, String resume) {
    try {
      return run.run(view, interruption);
    } catch (CancellationException e) {
      throw e;
    } catch (RuntimeException | Error e) {
      // Where no task began, the way on is not known.
      if (view.begun()) {
        throw new StoppedRun(e, resume);
      }
      throw e;
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

    @Option(
        names = "--threads",
        paramLabel = "N",
        description = "Of the processor, instead of as many as before; changes no number.")
    private int threads = -1;

    @Option(names = WORKER, hidden = true, description = WORKER_DESCRIPTION)
    private boolean worker;

    @Mixin private BackendOptions backendOptions;

    Resume(Terminal terminal) {
      this.terminal = terminal;
    }

    @Override
    public Integer call() {
      try (Interruption interruption = interruption(folder, terminal)) {
        return resume(interruption);
      }
    }

    private int resume(Interruption interruption) {
      RunFolder runFolder = RunFolder.open(folder);
      RunConfiguration configuration;
      Backend backend;
      try {
        configuration = ContinualRun.configurationOf(runFolder);
        backend =
            backendOptions.open(
                threads < 0 ? configuration.settings().get(Settings.THREADS) : threads);
      } catch (RuntimeException e) {
        runFolder.close();
        throw e;
      }
      try (backend;
          ContinualRun run = ContinualRun.resume(runFolder, backend)) {
        return execute(run, configuration, folder, terminal, interruption, worker);
      }
    }
  }
}
