package io.github.recurrentkif.experiment;

import io.github.recurrentkif.memory.AtomicFile;
import io.github.recurrentkif.memory.InputException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BooleanSupplier;
import java.util.function.Function;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;

/**
 * Several methods on one stream, everything else being equal: same model, tasks, settings and seed.
 * Each method has its run in a folder of its own; what was begun before is gone on with.
 *
 * @param folder holds a run folder for each method, and {@code comparison.json}
 */
public record Comparison(Path folder, List<RunConfiguration> runs) {

  /**
   * @throws IllegalArgumentException if the runs differ in their tasks, or there is none
   */
  public Comparison {
    runs = List.copyOf(runs);
    if (runs.isEmpty() || runs.stream().map(RunConfiguration::tasks).distinct().count() != 1) {
      throw new IllegalArgumentException("a comparison needs runs of the same tasks");
    }
  }

  /** The same stream for each of the methods. */
  public static Comparison of(Path folder, RunConfiguration first, List<MethodName> methods) {
    return new Comparison(
        folder,
        methods.stream()
            .map(
                method ->
                    new RunConfiguration(
                        first.model(), first.data(), first.tasks(), method, first.settings()))
            .toList());
  }

  /**
   * Runs every method to its end.
   *
   * @param listeners makes what watches the run of one method
   * @param stop as for {@link ContinualRun#run}
   * @return the results in the order of the runs
   * @throws InputException if a run folder holds a run of another kind
   */
  public List<RunResult> run(
      Backend backend, Function<RunConfiguration, RunListener> listeners, BooleanSupplier stop) {
    List<RunResult> results = new ArrayList<>();
    for (RunConfiguration configuration : runs) {
      try (ContinualRun run = open(configuration, backend)) {
        results.add(run.run(listeners.apply(configuration), stop));
      }
    }
    write(results);
    return results;
  }

  /** The run folders, in the order of the runs. */
  public List<Path> folders() {
    return runs.stream().map(this::folderOf).toList();
  }

  private Path folderOf(RunConfiguration configuration) {
    return folder.resolve(configuration.method().text());
  }

  private ContinualRun open(RunConfiguration configuration, Backend backend) {
    Path output = folderOf(configuration);
    if (!Files.exists(output.resolve("configuration.json"))) {
      return ContinualRun.begin(output, configuration, backend);
    }
    RunFolder begun = RunFolder.open(output);
    try {
      if (!ContinualRun.configurationOf(begun).toJson().equals(configuration.toJson())) {
        throw new InputException(
            output
                + ": holds a run with other settings; name another folder, or remove this one to"
                + " begin again");
      }
      return ContinualRun.resume(begun, backend);
    } catch (RuntimeException e) {
      begun.close();
      throw e;
    }
  }

  private void write(List<RunResult> results) {
    Map<String, Object> json = new LinkedHashMap<>();
    for (RunResult result : results) {
      json.put(result.configuration().method().text(), result.toJson());
    }
    AtomicFile.write(
        folder.resolve("comparison.json"),
        JsonMapper.builder()
            .enable(SerializationFeature.INDENT_OUTPUT)
            .build()
            .writeValueAsBytes(json));
  }
}
