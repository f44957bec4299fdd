package io.github.recurrentkif.experiment;

import io.github.recurrentkif.continual.AccuracyMatrix;
import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.memory.VectorFile;
import io.github.recurrentkif.training.Resumable;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.zip.CRC32C;
import tools.jackson.core.JacksonException;
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
  private static final String STATE_CHECKSUM = "state_checksum";
  private static final long CHUNK = 8L << 20;

  /** Writes the state of a run; the file appears when it is whole. */
  void write(Path file, Resumable learner, Resumable method) {
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("task", task);
    json.put("begun", begun);
    json.put("completed", completed);
    json.put("matrix", matrix.rows());
    json.put("events", eventBytes);
    json.put("learner", learner.counters());
    json.put("method", method.counters());
    SequencedMap<String, ParameterVector> vectors = vectors(learner, method);
    json.put("checksums", checksums(vectors));
    SequencedMap<String, String> metadata = new LinkedHashMap<>();
    String state = new ObjectMapper().writeValueAsString(json);
    metadata.put(STATE, state);
    metadata.put(STATE_CHECKSUM, checksum(state));
    try {
      VectorFile.write(file, vectors, metadata);
    } catch (IOException e) {
      throw new InputException(
          "%s: the checkpoint cannot be written: %s; the one before it is untouched: make room and go on with 'kif resume'"
              .formatted(file, (e.getCause() == null ? e : e.getCause()).getMessage()),
          e);
    }
  }

  private static SequencedMap<String, ParameterVector> vectors(
      Resumable learner, Resumable method) {
    SequencedMap<String, ParameterVector> all = new LinkedHashMap<>();
    learner.vectors().forEach((name, vector) -> all.put("learner." + name, vector));
    method.vectors().forEach((name, vector) -> all.put("method." + name, vector));
    return all;
  }

  private static String checksum(String state) {
    CRC32C checksum = new CRC32C();
    checksum.update(state.getBytes(StandardCharsets.UTF_8));
    return String.valueOf(checksum.getValue());
  }

  /** CRC-32C of each vector: a file that was damaged must not go on as another run. */
  private static SequencedMap<String, Long> checksums(
      SequencedMap<String, ParameterVector> vectors) {
    SequencedMap<String, Long> checksums = new LinkedHashMap<>();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment host = arena.allocate(CHUNK);
      vectors.forEach(
          (name, vector) -> {
            CRC32C checksum = new CRC32C();
            long size = vector.segment().byteSize();
            for (long from = 0; from < size; from += CHUNK) {
              MemorySegment part = host.asSlice(0, Math.min(CHUNK, size - from));
              vector.device().download(vector.segment().asSlice(from, part.byteSize()), part);
              checksum.update(part.asByteBuffer());
            }
            checksums.put(name, checksum.getValue());
          });
    }
    return checksums;
  }

  /**
   * Restores the newest state of a run.
   *
   * @return empty if none has been written yet
   * @throws InputException if the file is damaged or belongs to another run
   */
  static Optional<Checkpoint> read(Path file, Resumable learner, Resumable method) {
    if (!Files.isRegularFile(file)) {
      return Optional.empty();
    }
    try (VectorFile stored = VectorFile.open(file)) {
      SequencedMap<String, ParameterVector> vectors = vectors(learner, method);
      for (var entry : vectors.entrySet()) {
        if (!stored.names().contains(entry.getKey())) {
          throw new InputException(
              file + ": holds no vector '" + entry.getKey() + "'; it belongs to another method");
        }
        stored.read(entry.getKey(), entry.getValue());
      }
      String state = stored.metadata().getOrDefault(STATE, "");
      if (!stored.metadata().getOrDefault(STATE_CHECKSUM, "").equals(checksum(state))) {
        throw new IllegalArgumentException("its state is not what was written");
      }
      JsonNode json = new ObjectMapper().readTree(state);
      checksums(vectors)
          .forEach(
              (name, checksum) -> {
                if (required(json, "checksums").path(name).asLong(-1) != checksum) {
                  throw new IllegalArgumentException(
                      "vector '" + name + "' is not what was written");
                }
              });
      learner.restore(counters(required(json, "learner")));
      method.restore(counters(required(json, "method")));
      return Optional.of(
          new Checkpoint(
              required(json, "task").intValue(),
              required(json, "begun").booleanValue(),
              required(json, "completed").longValue(),
              matrix(required(json, "matrix")),
              required(json, "events").longValue()));
    } catch (IOException | IllegalArgumentException | JacksonException e) {
      throw new InputException(
          "%s: the checkpoint is damaged, and the run cannot go on from it: %s; put back a copy of the file, or begin a new run"
              .formatted(file, e.getMessage()),
          e);
    }
  }

  private static JsonNode required(JsonNode json, String key) {
    JsonNode node = json.get(key);
    if (node == null) {
      throw new IllegalArgumentException("its state has no '" + key + "'");
    }
    return node;
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
