package io.github.recurrentkif.experiment;

import io.github.recurrentkif.continual.AccuracyMatrix;
import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.training.Resumable;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.function.Consumer;
import tools.jackson.databind.JsonNode;

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

  /** Writes the state of a run. */
  void write(CheckpointFiles files, Resumable learner, Resumable method) {
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("task", task);
    json.put("begun", begun);
    json.put("completed", completed);
    json.put("matrix", matrix.rows());
    json.put("events", eventBytes);
    json.put("learner", learner.counters());
    json.put("method", method.counters());
    files.write(vectors(learner, method), json);
  }

  private static SequencedMap<String, ParameterVector> vectors(
      Resumable learner, Resumable method) {
    SequencedMap<String, ParameterVector> all = new LinkedHashMap<>();
    learner.vectors().forEach((name, vector) -> all.put("learner." + name, vector));
    method.vectors().forEach((name, vector) -> all.put("method." + name, vector));
    return all;
  }

  /**
   * Restores the newest state of a run.
   *
   * @param notice is told if that is not from the newest file
   * @return empty if none has been written yet
   * @throws InputException if no checkpoint is whole, or it belongs to another run
   */
  static Optional<Checkpoint> read(
      CheckpointFiles files, Resumable learner, Resumable method, Consumer<String> notice) {
    return files
        .read(vectors(learner, method), notice)
        .map(
            state -> {
              learner.restore(counters(state.required("learner")));
              method.restore(counters(state.required("method")));
              return of(state);
            });
  }

  /** How far the run of a folder has come, without its vectors. */
  static Optional<Checkpoint> peek(CheckpointFiles files) {
    return files.peek().map(Checkpoint::of);
  }

  private static Checkpoint of(JsonNode state) {
    return new Checkpoint(
        state.required("task").intValue(),
        state.required("begun").booleanValue(),
        state.required("completed").longValue(),
        matrix(state.required("matrix")),
        state.required("events").longValue());
  }

  /** Counters as {@link Resumable#counters} gave them. */
  static Map<String, Long> counters(JsonNode json) {
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
