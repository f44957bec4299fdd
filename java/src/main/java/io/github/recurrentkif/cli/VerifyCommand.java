package io.github.recurrentkif.cli;

import io.github.recurrentkif.experiment.Backend;
import io.github.recurrentkif.experiment.verification.Measure;
import io.github.recurrentkif.experiment.verification.ModelCheck;
import io.github.recurrentkif.experiment.verification.QuadraticTraceCheck;
import io.github.recurrentkif.experiment.verification.TrajectoryCheck;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code kif verify}: our numbers against recorded ones. */
@Command(
    name = "verify",
    description = "Compare our numbers with recorded ones; exits with 1 if they do not agree.",
    synopsisSubcommandLabel = "(model | trajectory)",
    subcommands = {VerifyCommand.Model.class, VerifyCommand.Trajectory.class})
final class VerifyCommand {

  private static final String GRADIENT = "gradient/";

  /** Where the subcommands, which picocli makes, find the terminal. */
  final Terminal terminal;

  VerifyCommand(Terminal terminal) {
    this.terminal = terminal;
  }

  private int report(List<Measure> measures, boolean all) {
    Table table = new Table("quantity", "largest deviation", "limit", "agrees", "where");
    // Of many gradients, one line for the worst of each kind, as long as all is not asked for.
    boolean everyOne = all || measures.size() <= 20;
    measures.stream()
        .filter(measure -> everyOne || !isGradient(measure))
        .forEach(measure -> row(table, measure.name(), measure, measure.where()));
    if (!everyOne) {
      worstGradient(measures, "lora", table);
      worstGradient(measures, "full", table);
    }
    long failed = measures.stream().filter(measure -> !measure.holds()).count();
    terminal.out().print(table);
    terminal
        .out()
        .println(
            failed == 0
                ? "all " + measures.size() + " quantities agree"
                : failed
                    + " of "
                    + measures.size()
                    + " quantities do NOT agree"
                    + (everyOne ? "" : "; --all shows every one"));
    return failed == 0 ? ExitCode.OK : ExitCode.CHECK_FAILED;
  }

  private static boolean isGradient(Measure measure) {
    return measure.name().startsWith(GRADIENT);
  }

  private static void row(Table table, String name, Measure measure, String where) {
    table.row(
        name,
        number(measure.deviation()),
        number(measure.limit()),
        measure.holds() ? "yes" : "NO",
        where);
  }

  /** The one that uses up the largest share of its tolerance. */
  private static void worstGradient(List<Measure> measures, String key, Table table) {
    measures.stream()
        .filter(measure -> isGradient(measure) && measure.where().equals(key))
        .max(Comparator.comparingDouble(measure -> measure.deviation() / measure.limit()))
        .ifPresent(
            worst ->
                row(
                    table,
                    "worst " + key + " gradient",
                    worst,
                    worst.name().substring(GRADIENT.length())));
  }

  private static String number(double value) {
    return value == Math.rint(value) && Math.abs(value) < 1e6
        ? String.valueOf((long) value)
        : String.format(Locale.ROOT, "%.3g", value);
  }

  /** {@code kif verify model}. */
  @Command(
      name = "model",
      description =
          "Loss, logits, gradients and greedy answers of a model against a fixture.json beside it.")
  static final class Model implements Callable<Integer> {

    @picocli.CommandLine.ParentCommand private VerifyCommand parent;

    @Parameters(paramLabel = "DIR", description = "A Hugging Face folder with a fixture.")
    private Path folder;

    @Option(names = "--all", description = "Show every tensor, not only the worst.")
    private boolean all;

    @Mixin private BackendOptions backendOptions;

    @Override
    public Integer call() {
      try (Backend backend = backendOptions.open(0)) {
        return parent.report(ModelCheck.run(folder, backend), all);
      }
    }
  }

  /** {@code kif verify trajectory}. */
  @Command(
      name = "trajectory",
      description =
          "Replay a recorded run step by step: a folder of the authors' own trainer, or a"
              + " fusion-trace.json.")
  static final class Trajectory implements Callable<Integer> {

    @picocli.CommandLine.ParentCommand private VerifyCommand parent;

    @Parameters(paramLabel = "DIR|FILE", description = "The recording.")
    private Path recording;

    @Option(
        names = "--resync",
        description = "Go on from the recorded weights after each fusion and task.")
    private boolean resync;

    @Mixin private BackendOptions backendOptions;

    @Override
    public Integer call() {
      try (Backend backend = backendOptions.open(0)) {
        return parent.report(
            Files.isRegularFile(recording)
                ? QuadraticTraceCheck.run(recording, backend.kernels())
                : TrajectoryCheck.run(recording, resync, backend),
            true);
      }
    }
  }
}
