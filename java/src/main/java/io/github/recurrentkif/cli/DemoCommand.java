package io.github.recurrentkif.cli;

import io.github.recurrentkif.experiment.Backend;
import io.github.recurrentkif.experiment.Comparison;
import io.github.recurrentkif.experiment.Demonstration;
import io.github.recurrentkif.experiment.RunResult;
import io.github.recurrentkif.experiment.Settings;
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
                RunView view = RunView.of(terminal, run.tasks().size());
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
    terminal.out().print(ResultTable.of(results));
    terminal.out().println("\nreport: " + folder.resolve("report.html"));
    terminal.out().print(next(folder));
    return ExitCode.OK;
  }

  private static String next(Path folder) {
    return """

    With a model and data of your own (a Hugging Face T5 folder; TASK.json in train/ and test/):
      kif train --model MODEL --data DATA --tasks TASK,TASK --method recurrent-kif --output RUN
      kif generate --model MODEL --adapter RUN/adapters/02-TASK, with a prompt, asks what was learned; here: %s
    """
        .formatted(folder.resolve("recurrent-kif").resolve("adapters").resolve("06-yes-no"));
  }
}
