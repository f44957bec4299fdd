package io.github.recurrentkif.cli;

import io.github.recurrentkif.experiment.Backend;
import io.github.recurrentkif.experiment.Comparison;
import io.github.recurrentkif.experiment.Demonstration;
import io.github.recurrentkif.experiment.RunResult;
import io.github.recurrentkif.experiment.Settings;
import io.github.recurrentkif.experiment.report.Report;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.CancellationException;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code kif demo}: a model that forgets, and the same model that does not. */
@Command(
    name = "demo",
    description =
        "Show a small model learning six generated tasks in a row, by plain training, by replay and"
            + " by Recurrent-KIF; needs nothing but this program.")
final class DemoCommand implements Callable<Integer> {

  /** In the words of the task; line breaks count as spaces. */
  private static final String QUESTION =
      "What is the sentiment of the following paragraph? Choose one from the option. Option: Good,"
          + " Bad. Text: although the soup was awful, the concert was not boring. Answer:";

  private final Terminal terminal;

  @Option(names = "--quick", description = "Fewer samples: under a minute, and rougher numbers.")
  private boolean quick;

  @Option(
      names = "--seed",
      paramLabel = "N",
      defaultValue = "1",
      description = "Of tasks and training (default: ${DEFAULT-VALUE}).")
  private long seed;

  @Option(
      names = "--output",
      paramLabel = "DIR",
      description =
          "The folder for model, tasks, runs and report (default: runs/demo-SEED or"
              + " runs/demo-quick-SEED). What is there already is gone on with.")
  private @Nullable Path output;

  @Option(
      names = "--set",
      paramLabel = "KEY=VALUE",
      description = "A setting of all three runs, as of kif train.")
  private Map<String, String> settings = new LinkedHashMap<>();

  @Mixin private BackendOptions backendOptions;

  DemoCommand(Terminal terminal) {
    this.terminal = terminal;
  }

  @Override
  public Integer call() {
    Path folder =
        output != null ? output : Path.of("runs", (quick ? "demo-quick-" : "demo-") + seed);
    Comparison comparison = new Demonstration(seed, quick, settings).prepare(folder);
    Settings chosen = comparison.runs().getFirst().settings();
    List<RunResult> results;
    List<RunView> views = new ArrayList<>();
    try (Backend backend = backendOptions.open(chosen.get(Settings.THREADS));
        Interruption interruption = new Interruption(terminal)) {
      results =
          comparison.run(
              backend,
              run -> {
                views.forEach(RunView::close);
                terminal.err().println("\n" + run.method().text());
                RunView view = RunView.of(terminal, run.tasks().size(), List.of());
                views.add(view);
                interruption.workBegins(view::notice);
                return view;
              },
              interruption);
    } catch (CancellationException e) {
      views.forEach(RunView::close);
      terminal.err().println("kif: stopped; the same command goes on");
      return ExitCode.INTERRUPTED;
    } finally {
      views.forEach(RunView::close);
    }
    Report report = Report.of(comparison.folders());
    report.write(folder.resolve("report.html"));
    report.writeForgetting(folder.resolve("forgetting.svg"));
    terminal.out().print(ResultTable.of(results));
    terminal.out().println("\nreport: " + folder.resolve("report.html"));
    terminal.out().print(next(folder));
    return ExitCode.OK;
  }

  private static String next(Path folder) {
    return """

    Ask the model what it has learned; train it on tasks of your choice; then do so with a model and data of
    your own in place of those (a Hugging Face T5 folder; TASK.json in train/, dev/ and test/):
      ./kif generate --model %1$s/model --adapter %1$s/recurrent-kif/adapters/06-yes-no "%2$s"
      ./kif train --model %1$s/model --data %1$s/tasks --tasks topic,sentiment --method recurrent-kif --set epochs=3 --set learning-rate=0.003 --output %1$s/own
    """
        .formatted(folder, QUESTION);
  }
}
