package io.github.recurrentkif.cli;

import io.github.recurrentkif.data.world.GeneratedTasks;
import io.github.recurrentkif.data.world.Practice;
import io.github.recurrentkif.data.world.WorldTask;
import io.github.recurrentkif.kernels.RandomKey;
import io.github.recurrentkif.memory.InputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code kif generate-tasks}: tasks to try things with, where no data are at hand. */
@Command(
    name = "generate-tasks",
    description = "Write tasks about a small invented world, in the benchmark's format.")
final class GenerateTasksCommand implements Callable<Integer> {

  private final Terminal terminal;

  @Option(
      names = "--output",
      required = true,
      paramLabel = "DIR",
      description = "The folder that receives train/, dev/ and test/.")
  private Path output;

  @Option(
      names = "--seed",
      paramLabel = "N",
      defaultValue = "1",
      description = "Of every choice (default: ${DEFAULT-VALUE}).")
  private long seed;

  @Option(
      names = "--train-samples",
      paramLabel = "N",
      defaultValue = "1000",
      description = "Of each task (default: ${DEFAULT-VALUE}).")
  private int trainSamples;

  @Option(
      names = "--dev-samples",
      paramLabel = "N",
      defaultValue = "200",
      description = "Of each task (default: ${DEFAULT-VALUE}).")
  private int devSamples;

  @Option(
      names = "--test-samples",
      paramLabel = "N",
      defaultValue = "500",
      description = "Of each task (default: ${DEFAULT-VALUE}).")
  private int testSamples;

  @Option(
      names = "--practice",
      paramLabel = "FILE",
      description =
          "Also write what a model of this world is pretrained on, a text or prompt on each line;"
              + " a tokenizer can be made from it.")
  private @Nullable Path practice;

  @Option(
      names = "--practice-lines",
      paramLabel = "N",
      defaultValue = "20000",
      description = "Lines of that file (default: ${DEFAULT-VALUE}).")
  private int practiceLines;

  GenerateTasksCommand(Terminal terminal) {
    this.terminal = terminal;
  }

  @Override
  public Integer call() {
    new GeneratedTasks(seed, trainSamples, devSamples, testSamples).write(output);
    terminal.out().println(output + ": " + String.join(", ", WorldTask.names()));
    if (practice != null) {
      writePractice(practice);
      terminal.out().println(practice + ": " + practiceLines + " lines");
    }
    return ExitCode.OK;
  }

  private void writePractice(Path file) {
    RandomKey key = RandomKey.ofSeed(seed);
    List<String> lines = new ArrayList<>(practiceLines);
    for (int i = 0; i < practiceLines; i++) {
      RandomKey lineKey = key.at(i);
      String text = Practice.passage(lineKey.at(0));
      if (i % 2 == 1) {
        var prompt = Practice.prompt(lineKey.at(1));
        text = prompt.source() + " " + prompt.target();
      }
      lines.add(text.replace('\n', ' '));
    }
    try {
      Files.write(file, lines);
    } catch (IOException e) {
      throw InputException.unwritable(file, e);
    }
  }
}
