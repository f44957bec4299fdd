package io.github.recurrentkif.experiment;

import io.github.recurrentkif.memory.InputException;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;

/**
 * What happened in a run, read back from its folder. A run of an older version, or of a method
 * without fusion, has less to tell: what is missing is empty.
 *
 * @param tasks with the step at which each was learned, as far as the run has come
 * @param updates on new data
 * @param replays of memory: the mean of those that belong to one update
 * @param tensors that are learned, in the order in which fusions count them
 */
public record RunHistory(
    SequencedMap<String, Long> tasks,
    List<Step> updates,
    List<Step> replays,
    List<Fusion> fusions,
    List<Tensor> tensors) {

  /** How a fusion counts parameters, by the names of the event log. */
  static final List<String> CLASSES = List.of("shared", "new_only", "old_only", "redundant");

  /**
   * Numbers of one update.
   *
   * @param step updates on new data so far, counted through all tasks
   */
  public record Step(long step, double loss, double gradientNorm, double learningRate) {}

  /** A tensor and how many parameters it has. */
  public record Tensor(String name, long elements) {}

  /**
   * How many parameters a fusion found important to what.
   *
   * @param byTensor the same of each tensor; empty if that was not recorded
   */
  public record Fusion(long step, Counts all, List<Counts> byTensor) {}

  /** Parameters that are important to both, to one, or to neither. */
  public record Counts(int shared, int newOnly, int oldOnly, int redundant) {

    public int elements() {
      return shared + newOnly + oldOnly + redundant;
    }

    /** Important to the new task, whatever else. */
    public int toNew() {
      return shared + newOnly;
    }

    /** Important to the history, whatever else. */
    public int toOld() {
      return shared + oldOnly;
    }
  }

  /**
   * Reads the folder of a run, finished or not.
   *
   * @throws InputException if it cannot be read
   */
  public static RunHistory read(Path folder) {
    Reading reading = new Reading();
    Path file = folder.resolve(RunFolder.EVENTS);
    if (Files.isRegularFile(file)) {
      try (BufferedReader lines = Files.newBufferedReader(file)) {
        ObjectMapper json = new ObjectMapper();
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
          reading.take(json.readTree(line));
        }
      } catch (JacksonException e) {
        // A run that goes on, or was killed, may have a last line that is not whole.
        reading.end();
      } catch (IOException e) {
        throw InputException.unreadable(file, e);
      }
    }
    reading.end();
    return new RunHistory(
        reading.tasks, reading.updates, reading.replays, reading.fusions, reading.tensors);
  }

  /** Where the time of a run went, in seconds by task and part; empty if that is not known. */
  public static SequencedMap<String, Map<TimeSpent.Part, Double>> seconds(Path folder) {
    return json(folder.resolve(RunFolder.TIMES))
        .map(TimeSpent::seconds)
        .orElseGet(LinkedHashMap::new);
  }

  /** Where a run began: versions, machine, kernels; empty if that is not known. */
  public static SequencedMap<String, String> environment(Path folder) {
    SequencedMap<String, String> environment = new LinkedHashMap<>();
    json(folder.resolve(RunFolder.PROVENANCE))
        .ifPresent(
            json ->
                json.path("environment")
                    .properties()
                    .forEach(
                        entry -> environment.put(entry.getKey(), entry.getValue().asString())));
    return environment;
  }

  private static Optional<JsonNode> json(Path file) {
    try {
      return Files.isRegularFile(file)
          ? Optional.of(new ObjectMapper().readTree(Files.readString(file)))
          : Optional.empty();
    } catch (IOException | JacksonException e) {
      return Optional.empty();
    }
  }

  /** Takes events one after another. */
  private static final class Reading {

    private final SequencedMap<String, Long> tasks = new LinkedHashMap<>();
    private final List<Step> updates = new ArrayList<>();
    private final List<Step> replays = new ArrayList<>();
    private final List<Fusion> fusions = new ArrayList<>();
    private final List<Tensor> tensors = new ArrayList<>();

    private @Nullable String task;
    private long before;
    private long step;
    private int replayed;
    private double replayedLoss;
    private double replayedNorm;
    private double replayedRate;

    void take(JsonNode event) {
      switch (event.path("event").asString("")) {
        case "tensors" -> {
          for (int i = 0; i < event.path("names").size(); i++) {
            tensors.add(
                new Tensor(
                    event.path("names").path(i).asString(),
                    event.path("elements").path(i).asLong()));
          }
        }
        case "update" -> {
          String of = event.path("task").asString();
          if (!of.equals(task)) {
            task = of;
            before = step;
          }
          end();
          step = before + event.path("update").asLong();
          tasks.put(of, step);
          updates.add(
              new Step(
                  step,
                  event.path("loss").asDouble(Double.NaN),
                  event.path("gradient_norm").asDouble(Double.NaN),
                  event.path("learning_rate").asDouble(Double.NaN)));
        }
        case "replay" -> {
          replayed++;
          replayedLoss += event.path("loss").asDouble(Double.NaN);
          replayedNorm += event.path("gradient_norm").asDouble(Double.NaN);
          replayedRate += event.path("learning_rate").asDouble(Double.NaN);
        }
        case "fusion" -> {
          end();
          if (!event.has("shared")) {
            return; // A fusion by weights has no classes.
          }
          List<Counts> byTensor = new ArrayList<>();
          JsonNode parts = event.path("by_tensor");
          for (int i = 0; i < Math.min(parts.path("shared").size(), tensors.size()); i++) {
            int shared = parts.path("shared").path(i).asInt();
            int newOnly = parts.path("new_only").path(i).asInt();
            int oldOnly = parts.path("old_only").path(i).asInt();
            int elements = (int) tensors.get(i).elements();
            byTensor.add(
                new Counts(shared, newOnly, oldOnly, elements - shared - newOnly - oldOnly));
          }
          fusions.add(
              new Fusion(
                  step,
                  new Counts(
                      event.path("shared").asInt(),
                      event.path("new_only").asInt(),
                      event.path("old_only").asInt(),
                      event.path("redundant").asInt()),
                  byTensor));
        }
        default -> {
          // Evaluations stand in the accuracy matrix; what is not known is of a later version.
        }
      }
    }

    /** What was replayed so far belongs to the update before it. */
    void end() {
      if (replayed > 0) {
        replays.add(
            new Step(
                step, replayedLoss / replayed, replayedNorm / replayed, replayedRate / replayed));
        replayed = 0;
        replayedLoss = 0;
        replayedNorm = 0;
        replayedRate = 0;
      }
    }
  }
}
