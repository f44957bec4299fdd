package io.github.recurrentkif.experiment;

import io.github.recurrentkif.continual.AccuracyMatrix;
import io.github.recurrentkif.memory.InputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;

/**
 * A run folder as it stands, seen from outside: nothing is changed, and a process that works on it
 * is not disturbed.
 *
 * @param configuration empty if it cannot be read
 * @param inputs hashes of what the run reads, by name, as its provenance has them
 * @param matrix accuracies so far
 * @param update of the task being learned; 0 between tasks
 * @param changed when something in it was last written
 * @param problem why it cannot be read, or empty
 */
public record RunSummary(
    Path folder,
    State state,
    Optional<RunConfiguration> configuration,
    Map<String, String> inputs,
    AccuracyMatrix matrix,
    long update,
    Instant changed,
    String problem) {

  /** What a run is doing. */
  public enum State {
    RUNNING,
    FINISHED,
    /** Stopped or killed; it can be resumed. */
    STOPPED,
    UNREADABLE
  }

  /** How deep below a folder runs are looked for. */
  private static final int DEPTH = 6;

  public RunSummary {
    inputs = Map.copyOf(inputs);
  }

  /** Tasks that are learned and examined. */
  public int tasksDone() {
    return matrix.tasks();
  }

  /**
   * All runs in and below a folder, by name; those of a sweep in the order of its plan.
   *
   * @throws InputException if there is no such folder
   */
  public static List<RunSummary> below(Path folder) {
    if (!Files.isDirectory(folder)) {
      throw new InputException(folder + ": no such folder; name the one that holds the runs");
    }
    PlannedOrder planned = new PlannedOrder();
    try (var paths = Files.walk(folder, DEPTH)) {
      return paths
          .filter(Files::isDirectory)
          .filter(RunFolder::holdsRun)
          // A pretraining keeps a folder of the same kind inside its model.
          .filter(run -> Files.isRegularFile(run.resolve(RunFolder.PROVENANCE)))
          .map(planned::place)
          .sorted()
          .map(place -> of(place.run()))
          .toList();
    } catch (IOException e) {
      throw InputException.unreadable(folder, e);
    }
  }

  /**
   * One run.
   *
   * @throws InputException if the folder holds none
   */
  public static RunSummary of(Path folder) {
    if (!RunFolder.holdsRun(folder)) {
      throw new InputException(folder + ": holds no run; 'kif runs' lists those there are");
    }
    Instant changed = changed(folder);
    try {
      RunConfiguration configuration =
          RunConfiguration.fromJson(read(folder.resolve(RunFolder.CONFIGURATION)));
      Map<String, String> inputs = new LinkedHashMap<>();
      read(folder.resolve(RunFolder.PROVENANCE))
          .path("inputs")
          .properties()
          .forEach(entry -> inputs.put(entry.getKey(), entry.getValue().asString()));
      // The lock first: a run that ends meanwhile is then finished, never stopped.
      boolean held = RunFolder.isHeld(folder);
      Path result = folder.resolve(RunFolder.RESULT);
      if (!held && Files.isRegularFile(result)) {
        AccuracyMatrix matrix = matrix(read(result).path("accuracy_after_task"));
        return new RunSummary(
            folder, State.FINISHED, Optional.of(configuration), inputs, matrix, 0, changed, "");
      }
      Checkpoint reached = Checkpoint.peek(new CheckpointFiles(folder)).orElse(Checkpoint.START);
      return new RunSummary(
          folder,
          held ? State.RUNNING : State.STOPPED,
          Optional.of(configuration),
          inputs,
          reached.matrix(),
          reached.completed(),
          changed,
          "");
    } catch (InputException | JacksonException e) {
      return new RunSummary(
          folder,
          State.UNREADABLE,
          Optional.empty(),
          Map.of(),
          AccuracyMatrix.EMPTY,
          0,
          changed,
          String.valueOf(e.getMessage()));
    }
  }

  private static JsonNode read(Path file) {
    try {
      return new ObjectMapper().readTree(file.toFile());
    } catch (JacksonException e) {
      String why = String.valueOf(e.getOriginalMessage()).lines().findFirst().orElse("");
      throw new InputException(
          file + ": cannot be read: " + why.split(" \\(start marker", 2)[0], e);
    }
  }

  private static AccuracyMatrix matrix(JsonNode rows) {
    List<List<Double>> values = new ArrayList<>();
    for (JsonNode row : rows) {
      List<Double> accuracies = new ArrayList<>();
      row.forEach(value -> accuracies.add(value.doubleValue()));
      values.add(accuracies);
    }
    return new AccuracyMatrix(values);
  }

  private static Instant changed(Path folder) {
    Instant newest = Instant.EPOCH;
    try (var files = Files.list(folder)) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        Instant time = Files.getLastModifiedTime(file).toInstant();
        newest = time.isAfter(newest) ? time : newest;
      }
    } catch (IOException e) {
      // A temporary file may be renamed between listing and asking: the others tell enough.
    }
    return newest;
  }
}
