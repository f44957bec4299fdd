package io.github.recurrentkif.cli;

import io.github.recurrentkif.kernels.bench.BenchReport;
import io.github.recurrentkif.kernels.bench.Comparison;
import io.github.recurrentkif.kernels.bench.Field;
import io.github.recurrentkif.kernels.bench.FunctionContestant;
import io.github.recurrentkif.kernels.bench.Machine;
import io.github.recurrentkif.kernels.bench.Operation;
import io.github.recurrentkif.kernels.bench.Outcome;
import io.github.recurrentkif.kernels.bench.Outcome.Entry;
import io.github.recurrentkif.kernels.bench.Outcome.Times;
import io.github.recurrentkif.kernels.bench.Values;
import io.github.recurrentkif.kernels.cpu.CpuKernels;
import io.github.recurrentkif.kernels.cuda.DriverLauncher;
import io.github.recurrentkif.kernels.cuda.EmulatorLauncher;
import io.github.recurrentkif.kernels.cuda.Launcher;
import io.github.recurrentkif.memory.InputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParentCommand;

/** {@code kif bench}: how fast this machine is. */
@Command(
    name = "bench",
    description = "Measure how fast this machine is.",
    synopsisSubcommandLabel = "kernels|training",
    subcommands = {BenchCommand.OfKernels.class, TrainingBenchCommand.class})
final class BenchCommand {

  /** Where the subcommands, which picocli makes, find the terminal. */
  final Terminal terminal;

  BenchCommand(Terminal terminal) {
    this.terminal = terminal;
  }

  /** More than the second-level cache of any GPU, in bytes. */
  private static final long GPU_CACHE = 1 << 28;

  private static final long EMULATED_CACHE = 1 << 16;
  private static final int EMULATED_MULTIPROCESSORS = 2;

  /** The devices whose kernels compete. */
  enum Devices {
    CPU,
    CUDA,
    ALL
  }

  /** {@code kif bench kernels}. */
  @Command(
      name = "kernels",
      description = {
        "Check the kernels, bit by bit, then measure them against each other and against a copy.",
        "Times are medians of interleaved rounds: cold with cleared caches, warm right after the"
            + " same work. GB/s counts what the formula has to move at least. A contestant that"
            + " does not agree with the specification is reported, not measured, and makes the"
            + " command exit with 1.",
        "Your own function takes part with --library and --symbol, your own CUDA kernel with --ptx"
            + " and --entry: see docs/adding-a-kernel.md."
      })
  static final class OfKernels implements Callable<Integer> {

    @ParentCommand private BenchCommand parent;

    @Option(
        names = "--op",
        split = ",",
        paramLabel = "OP",
        description =
            "What to measure: importance, merge, threshold, importance-threshold, adamw,"
                + " adamw-importance, norm, fusion (default: all).")
    private List<String> operations = List.of();

    @Option(
        names = "--n",
        split = ",",
        paramLabel = "N",
        defaultValue = "2359296",
        description =
            "Elements; the default ${DEFAULT-VALUE} is the size of T5-large's adapters of rank 8.")
    private List<Long> sizes = List.of();

    @Option(
        names = "--entropy",
        paramLabel = "KIND",
        defaultValue = "high",
        description =
            "The numbers: high (hardly two alike), low (16 magnitudes), ties (most are zero);"
                + " default: ${DEFAULT-VALUE}.")
    private Values values = Values.HIGH;

    @Option(
        names = "--threads",
        paramLabel = "T",
        defaultValue = "0",
        description = "Threads of the native kernels, beside one (default: one for each core).")
    private int threads;

    @Option(
        names = "--device",
        paramLabel = "DEVICE",
        defaultValue = "cpu",
        description = "cpu, cuda or all (default: ${DEFAULT-VALUE}).")
    private Devices devices = Devices.CPU;

    @Option(
        names = "--repetitions",
        paramLabel = "R",
        defaultValue = "15",
        description = "Rounds (default: ${DEFAULT-VALUE}).")
    private int repetitions;

    @Option(
        names = "--json",
        paramLabel = "FILE",
        description = "Write the outcome and the facts of this machine there, too.")
    private @Nullable Path json;

    @Option(
        names = "--library",
        paramLabel = "FILE",
        description = "A shared library with a function of your own.")
    private @Nullable Path library;

    @Option(
        names = "--symbol",
        paramLabel = "NAME",
        description = "Its name; its signature is kif_raw_... of native/include/kif.h.")
    private @Nullable String symbol;

    @Option(
        names = "--ptx",
        paramLabel = "FILE",
        description = "A PTX file with a CUDA kernel of your own.")
    private @Nullable Path ptx;

    @Option(names = "--entry", paramLabel = "NAME", description = "The kernel's name.")
    private @Nullable String entry;

    @Option(
        names = "--cuda-emulator",
        paramLabel = "FILE",
        description =
            "Run the CUDA kernels on the processor, to check them where there is no GPU: what"
                + " cuda-kernels/emulator/build.sh compiled. Its times say nothing.")
    private @Nullable Path emulator;

    @Override
    public Integer call() throws IOException {
      List<Operation> chosen = chosen();
      check(chosen);
      Machine machine = Machine.here();
      int count = threads == 0 ? machine.cores() : threads;
      List<Outcome> outcomes = new ArrayList<>();
      Comparison comparison = new Comparison(repetitions, 2 * machine.largestCache());
      parent
          .terminal
          .out()
          .printf(
              Locale.ROOT,
              "%s, %d cores, load %.1f; %d rounds; times in microseconds%n",
              machine.processor(),
              machine.cores(),
              machine.load(),
              repetitions);
      if (devices != Devices.CUDA) {
        try (Field field = cpu(count, chosen)) {
          outcomes.addAll(compete(comparison, field, chosen));
        }
      }
      if (devices != Devices.CPU) {
        cuda()
            .ifPresent(
                launcher -> {
                  try (Field field = cuda(launcher, chosen)) {
                    Comparison onDevice = new Comparison(repetitions, deviceCache());
                    parent.terminal.out().println();
                    parent.terminal.out().println(launcher.description());
                    outcomes.addAll(compete(onDevice, field, chosen));
                  }
                });
      }
      if (json != null) {
        new BenchReport(machine, repetitions, outcomes).write(json);
      }
      return outcomes.stream().allMatch(Outcome::agrees) ? ExitCode.OK : ExitCode.CHECK_FAILED;
    }

    private List<Outcome> compete(Comparison comparison, Field field, List<Operation> chosen) {
      List<Outcome> outcomes = new ArrayList<>();
      for (Operation operation : chosen) {
        for (long n : sizes) {
          Outcome outcome = comparison.run(field, operation, n, values);
          print(outcome);
          outcomes.add(outcome);
        }
      }
      return outcomes;
    }

    private List<Operation> chosen() {
      if (operations.isEmpty()) {
        return Operation.measured();
      }
      return operations.stream().map(OfKernels::operation).toList();
    }

    private static Operation operation(String name) {
      return Operation.measured().stream()
          .filter(operation -> operation.optionName().equals(name))
          .findFirst()
          .orElseThrow(
              () ->
                  new InputException(
                      "--op: there is no '"
                          + name
                          + "'; there are "
                          + Operation.measured().stream()
                              .map(Operation::optionName)
                              .collect(Collectors.joining(", "))));
    }

    private void check(List<Operation> chosen) {
      if (repetitions < 1) {
        throw new InputException("--repetitions: expected 1 or more, found " + repetitions);
      }
      if (threads < 0) {
        throw new InputException("--threads: expected 0 or more, found " + threads);
      }
      for (long n : sizes) {
        if (n < 1) {
          throw new InputException("--n: expected 1 or more, found " + n);
        }
      }
      if ((library == null) != (symbol == null)) {
        throw new InputException("--library and --symbol belong together; give both or neither");
      }
      if (library != null && chosen.size() != 1) {
        throw new InputException(
            "--library: say with --op which one operation " + symbol + " does");
      }
      if ((ptx == null) != (entry == null)) {
        throw new InputException("--ptx and --entry belong together; give both or neither");
      }
      if (ptx != null && (chosen.size() != 1 || devices == Devices.CPU)) {
        throw new InputException(
            "--ptx: say with --op which one operation "
                + entry
                + " does, and with --device cuda where");
      }
      if (library != null && devices == Devices.CUDA) {
        throw new InputException("--library: a function of C takes part on --device cpu or all");
      }
    }

    /** The GPU, or what stands for it; none where all devices are asked for and it is not there. */
    private Optional<Launcher> cuda() {
      if (emulator != null) {
        if (!Files.isRegularFile(emulator)) {
          throw InputException.expected(
              "--cuda-emulator " + emulator,
              "a library",
              "no such file",
              "make it with cuda-kernels/emulator/build.sh");
        }
        return Optional.of(
            new EmulatorLauncher(emulator.toAbsolutePath(), EMULATED_MULTIPROCESSORS));
      }
      try {
        return Optional.of(DriverLauncher.open(0));
      } catch (InputException e) {
        if (devices == Devices.CUDA) {
          throw e;
        }
        parent.terminal.err().println("kif: cuda is left out: " + e.getMessage());
        return Optional.empty();
      }
    }

    private Field cuda(Launcher launcher, List<Operation> chosen) {
      Field field = Field.cuda(launcher);
      if (ptx == null || entry == null) {
        return field;
      }
      try {
        return field.with(Field.brought(launcher, ptx, entry, chosen.getFirst()));
      } catch (InputException e) {
        field.close();
        throw e;
      }
    }

    private long deviceCache() {
      return emulator == null ? GPU_CACHE : EMULATED_CACHE;
    }

    private Field cpu(int count, List<Operation> chosen) {
      Field field = Field.cpu(count, CpuKernels.Settings.ofProcess());
      if (library == null || symbol == null) {
        return field;
      }
      try {
        return field.with(FunctionContestant.load(library, symbol, chosen.getFirst()));
      } catch (InputException e) {
        field.close();
        throw e;
      }
    }

    private void print(Outcome outcome) {
      Operation operation = outcome.operation();
      var out = parent.terminal.out();
      out.println();
      out.printf(
          Locale.ROOT,
          "%s, n = %d, %s entropy, on %s: %d bytes per element (%s)%n",
          operation,
          outcome.n(),
          outcome.values().optionName(),
          outcome.device(),
          operation.bytesPerElement(),
          operation.traffic());
      Table table =
          new Table(
              "contestant",
              "bits",
              "cold",
              "spread",
              "GB/s",
              "of copy",
              "x first",
              "of best",
              "warm",
              "GB/s",
              "of copy");
      for (Entry contestant : outcome.entries()) {
        contestant
            .times()
            .ifPresentOrElse(
                times -> row(outcome, contestant.contestant(), times, table),
                () ->
                    table.row(
                        contestant.contestant(),
                        "WRONG",
                        "-",
                        "-",
                        "-",
                        "-",
                        "-",
                        "-",
                        "-",
                        "-",
                        "-"));
      }
      Times copy = outcome.copy().times();
      long bytes = outcome.copy().bytes();
      table.row(
          "copy of %s bytes by %s".formatted(bytes, outcome.copy().contestant()),
          "",
          time(copy.cold().median()),
          percent(copy.cold().spread()),
          number(copy.cold().gigabytesPerSecond(bytes)),
          "1.00",
          "-",
          "-",
          time(copy.warm().median()),
          number(copy.warm().gigabytesPerSecond(bytes)),
          "1.00");
      out.print(table);
      for (Entry contestant : outcome.entries()) {
        contestant
            .fault()
            .ifPresent(fault -> out.println(contestant.contestant() + " is WRONG: " + fault));
      }
      out.flush();
    }

    private static void row(Outcome outcome, String name, Times times, Table table) {
      double cold = times.cold().median();
      table.row(
          name,
          "equal",
          time(cold),
          percent(times.cold().spread()),
          number(times.cold().gigabytesPerSecond(outcome.bytes())),
          ratio(outcome.coldShare(times)),
          ratio(quotient(outcome.firstMedian(), cold)),
          ratio(quotient(outcome.leastMedian(), cold)),
          time(times.warm().median()),
          number(times.warm().gigabytesPerSecond(outcome.bytes())),
          ratio(outcome.warmShare(times)));
    }

    private static double quotient(OptionalDouble of, double time) {
      return of.orElse(Double.NaN) / time;
    }

    private static String time(double nanoseconds) {
      double microseconds = nanoseconds / 1e3;
      return String.format(Locale.ROOT, microseconds < 100 ? "%.3f" : "%.0f", microseconds);
    }

    private static String number(double value) {
      return String.format(Locale.ROOT, "%.1f", value);
    }

    private static String ratio(double value) {
      return String.format(Locale.ROOT, "%.2f", value);
    }

    private static String percent(double share) {
      return String.format(Locale.ROOT, "%.0f %%", 100 * share);
    }
  }
}
