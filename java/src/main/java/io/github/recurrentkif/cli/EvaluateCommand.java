package io.github.recurrentkif.cli;

import io.github.recurrentkif.data.SampleLimits;
import io.github.recurrentkif.data.Split;
import io.github.recurrentkif.data.Task;
import io.github.recurrentkif.data.TaskFiles;
import io.github.recurrentkif.data.TaskReader;
import io.github.recurrentkif.experiment.Evaluation;
import io.github.recurrentkif.experiment.Settings;
import io.github.recurrentkif.memory.InputException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code kif evaluate}: accuracy of a model on tasks. */
@Command(
    name = "evaluate",
    description = "Measure a model's accuracy on tasks by exact match of its greedy answers.")
final class EvaluateCommand implements Callable<Integer> {

  private final Terminal terminal;

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
      description = "The tasks to evaluate.")
  private List<String> tasks;

  @Option(
      names = "--maximum-test-samples",
      paramLabel = "N",
      defaultValue = "0",
      description = "Of each task, the first ones; 0 for all (default: ${DEFAULT-VALUE}).")
  private int maximumTestSamples;

  @Option(
      names = "--prompt-format",
      paramLabel = "FORMAT",
      description = "plain or alpaca (default: plain for T5, alpaca for LLaMA and Qwen).")
  private @Nullable String promptFormat;

  @Mixin private AnswerOptions options;

  EvaluateCommand(Terminal terminal) {
    this.terminal = terminal;
  }

  @Override
  public Integer call() {
    if (maximumTestSamples < 0) {
      throw new InputException(
          "--maximum-test-samples should be a whole number of at least 0, got '"
              + maximumTestSamples
              + "'");
    }
    TaskReader reader = new TaskReader(new TaskFiles(data));
    SampleLimits limits =
        new SampleLimits(
            Integer.MAX_VALUE, maximumTestSamples == 0 ? Integer.MAX_VALUE : maximumTestSamples);
    List<Task> read = tasks.stream().map(name -> reader.read(name, limits)).toList();
    Settings settings =
        promptFormat == null
            ? Settings.defaults()
            : Settings.defaults().with(Map.of(Settings.PROMPT_FORMAT.name(), promptFormat));
    return options.with(settings, evaluation -> evaluate(evaluation, read));
  }

  private int evaluate(Evaluation evaluation, List<Task> read) {
    Table table = new Table("task", "samples", "accuracy %", "split");
    List<Double> accuracies = new ArrayList<>();
    for (Task task : read) {
      List<String> answers;
      try (Progress progress =
          new Progress(terminal, task.name(), "samples", task.evaluation().size())) {
        answers = evaluation.answers(task.evaluation(), done -> progress.at(done, ""), () -> false);
      }
      double accuracy = Evaluation.accuracy(task.evaluation(), answers);
      accuracies.add(accuracy);
      table.row(
          task.name(),
          task.evaluation().size(),
          String.format(Locale.ROOT, "%.2f", 100 * accuracy),
          task.evaluationSplit() == Split.TEST ? "test" : "dev (no test file)");
    }
    double mean = accuracies.stream().mapToDouble(Double::doubleValue).average().orElse(0);
    table.row("mean", "", String.format(Locale.ROOT, "%.2f", 100 * mean), "");
    terminal.out().print(table);
    return ExitCode.OK;
  }
}
