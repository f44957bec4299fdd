package io.github.recurrentkif.cli;

import io.github.recurrentkif.data.Sample;
import io.github.recurrentkif.experiment.Settings;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

/** {@code kif generate}: the model's answers to prompts. */
@Command(
    name = "generate",
    description = "Print a model's greedy answers, one line each, to prompts or lines of input.")
final class GenerateCommand implements Callable<Integer> {

  private final Terminal terminal;

  @Parameters(
      paramLabel = "PROMPT",
      arity = "0..*",
      description = "Prompts; without any, each line of standard input is one.")
  private List<String> prompts = List.of();

  @Mixin private AnswerOptions options;

  GenerateCommand(Terminal terminal) {
    this.terminal = terminal;
  }

  @Override
  public Integer call() {
    List<Sample> samples =
        (prompts.isEmpty() ? standardInput() : prompts)
            .stream().map(prompt -> new Sample("", prompt, "")).toList();
    // A prompt that was typed is complete.
    return options.with(
        Settings.defaults().with(Map.of(Settings.PROMPT_FORMAT.name(), "plain")),
        evaluation -> {
          evaluation.answers(samples, answered -> {}, () -> false).forEach(terminal.out()::println);
          return ExitCode.OK;
        });
  }

  private static List<String> standardInput() {
    try {
      return new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))
          .readAllLines();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
