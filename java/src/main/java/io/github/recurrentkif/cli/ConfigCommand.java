package io.github.recurrentkif.cli;

import io.github.recurrentkif.experiment.BackendRequest;
import io.github.recurrentkif.experiment.RunRequest;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code kif config}: prints a configuration file. */
@Command(
    name = "config",
    description =
        "Print a configuration file for kif train: every key with its default and what it means.")
final class ConfigCommand implements Callable<Integer> {

  private final Terminal terminal;

  @Option(
      names = "--config",
      paramLabel = "FILE",
      description =
          "A file whose values stand in place of the defaults; may be repeated. Also the"
              + " configuration.json of a run folder.")
  private List<Path> files = List.of();

  @Option(names = "--set", paramLabel = "KEY=VALUE", description = "A setting; may be repeated.")
  private Map<String, String> settings = new LinkedHashMap<>();

  ConfigCommand(Terminal terminal) {
    this.terminal = terminal;
  }

  /** What files ask for; later ones win over earlier ones. */
  static RunRequest read(List<Path> files) {
    RunRequest request = RunRequest.nothing();
    for (Path file : files) {
      request = request.with(RunRequest.read(file));
    }
    return request;
  }

  @Override
  public Integer call() {
    RunRequest typed =
        new RunRequest(
            Optional.empty(),
            Optional.empty(),
            Optional.empty(),
            Optional.empty(),
            Optional.empty(),
            BackendRequest.nothing(),
            settings);
    terminal.out().print(read(files).with(typed).toYaml());
    return ExitCode.OK;
  }
}
