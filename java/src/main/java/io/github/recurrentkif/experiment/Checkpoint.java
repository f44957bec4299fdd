package io.github.recurrentkif.experiment;

import io.github.recurrentkif.continual.AccuracyMatrix;
import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.memory.VectorFile;
import io.github.recurrentkif.training.Resumable;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;

/**
 * How far a run has come; with the vectors beside it in one file, everything needed to go on to the
 * same bits. Order of data, memory and dropout follow from the seed and these counts.
 *
 * @param task being learned, from 0
 * @param begun whether the method has begun it
 * @param completed updates of it
 * @param matrix accuracies after the tasks before it
 * @param eventBytes length of the event log
 */
record Checkpoint(int task, boolean begun, long completed, AccuracyMatrix matrix, long eventBytes) {

  static final Checkpoint START = new Checkpoint(0, false, 0, AccuracyMatrix.EMPTY, 0);

  private static final String STATE = "state";
  private static final String WEIGHTS = "weights";

  /** Writes the state of a run; the file appears when it is whole. */
  void write(Path file, ParameterVector weights, Resumable learner, Resumable method) {
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("task", task);
    json.put("begun", begun);
    json.put("completed", completed);
    json.put("matrix", matrix.rows());
    json.put("events", eventBytes);
    json.put("learner", learner.counters());
    json.put("method", method.counters());
    SequencedMap<String, String> metadata = new LinkedHashMap<>();
    metadata.put(STATE, new ObjectMapper().writeValueAsString(json));
    try {
      VectorFile.write(file, vectors(weights, learner, method), metadata);
    } catch (IOException e) {
      throw new InputException(
          "the checkpoint cannot be written, the last one is still there: "
              + RunFolder.message(e)
              + "; make room and go on with 'kif resume'",
          e);
    }
  }

  private static SequencedMap<String, ParameterVector> vectors(
      ParameterVector weights, Resumable learner, Resumable method) {
    SequencedMap<String, ParameterVector> all = new LinkedHashMap<>();
    all.put(WEIGHTS, weights);
    learner.vectors().forEach((name, vector) -> all.put("learner." + name, vector));
    method.vectors().forEach((name, vector) -> all.put("method." + name, vector));
    return all;
  }

  /**
   * Restores the newest state of a run.
   *
   * @return empty if none has been written yet
   */
  static Optional<Checkpoint> read(
      Path file, ParameterVector weights, Resumable learner, Resumable method) {
    if (!Files.isRegularFile(file)) {
      return Optional.empty();
    }
    try (VectorFile vectors = VectorFile.open(file)) {
      for (var entry : vectors(weights, learner, method).entrySet()) {
        if (!vectors.names().contains(entry.getKey())) {
          throw new InputException(
              file + ": holds no vector '" + entry.getKey() + "'; it belongs to another method");
        }
        vectors.read(entry.getKey(), entry.getValue());
      }
      JsonNode json = new ObjectMapper().readTree(vectors.metadata().get(STATE));
      learner.restore(counters(json.get("learner")));
      method.restore(counters(json.get("method")));
      return Optional.of(
          new Checkpoint(
              json.get("task").intValue(),
              json.get("begun").booleanValue(),
              json.get("completed").longValue(),
              matrix(json.get("matrix")),
              json.get("events").longValue()));
    } catch (IOException e) {
      throw new InputException(file + ": cannot be read: " + RunFolder.message(e), e);
    }
  }

  private static Map<String, Long> counters(JsonNode json) {
    Map<String, Long> counters = new LinkedHashMap<>();
    json.properties().forEach(entry -> counters.put(entry.getKey(), entry.getValue().longValue()));
    return counters;
  }

  private static AccuracyMatrix matrix(JsonNode json) {
    List<List<Double>> rows = new ArrayList<>();
    for (JsonNode row : json) {
      List<Double> values = new ArrayList<>();
      row.forEach(value -> values.add(value.doubleValue()));
      rows.add(values);
    }
    return new AccuracyMatrix(rows);
  }
}
