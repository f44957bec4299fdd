package io.github.recurrentkif.experiment;

import io.github.recurrentkif.memory.AtomicFile;
import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.memory.VectorFile;
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
import java.util.function.Consumer;
import java.util.zip.CRC32C;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;

/**
 * The two newest checkpoints of a training: vectors, and a state in JSON, with checksums over both.
 * At every moment at least one of them is whole on the disk, and the newest whole one counts.
 *
 * @param folder holds {@value #NEWEST} and {@value #PREVIOUS}
 */
record CheckpointFiles(Path folder) {

  static final String NEWEST = "checkpoint.safetensors";
  static final String PREVIOUS = "checkpoint.previous.safetensors";

  /** Hidden, so that what a killed process leaves of it is cleared away with other halves. */
  private static final String NEXT = ".checkpoint.next.tmp";

  private static final String STATE = "state";
  private static final String STATE_CHECKSUM = "state_checksum";
  private static final String CHECKSUMS = "checksums";
  private static final long CHUNK = 8L << 20;

  Path newest() {
    return folder.resolve(NEWEST);
  }

  Path previous() {
    return folder.resolve(PREVIOUS);
  }

  /**
   * Writes a checkpoint; the one that was the newest becomes the previous one.
   *
   * @throws InputException if it cannot be written; those there are untouched
   */
  void write(SequencedMap<String, ParameterVector> vectors, Map<String, Object> state) {
    Map<String, Object> whole = new LinkedHashMap<>(state);
    whole.put(CHECKSUMS, checksums(vectors));
    String json = new ObjectMapper().writeValueAsString(whole);
    SequencedMap<String, String> metadata = new LinkedHashMap<>();
    metadata.put(STATE, json);
    metadata.put(STATE_CHECKSUM, checksum(json));
    Path next = folder.resolve(NEXT);
    try {
      VectorFile.write(next, vectors, metadata);
      AtomicFile.replace(newest(), next, previous());
    } catch (IOException e) {
      throw new InputException(
          "%s: the checkpoint cannot be written: %s; the one before it is untouched: make room and go on"
              .formatted(newest(), InputException.reason(next, e)),
          e);
    }
  }

  /**
   * Restores vectors from the newest checkpoint that is whole.
   *
   * @param notice is told if that is not the newest there is
   * @return its state, or empty if no checkpoint has been written yet
   * @throws InputException if none is whole, or it belongs to another method
   */
  Optional<JsonNode> read(SequencedMap<String, ParameterVector> vectors, Consumer<String> notice) {
    List<String> damages = new ArrayList<>();
    for (Path file : List.of(newest(), previous())) {
      if (!Files.isRegularFile(file)) {
        continue;
      }
      try {
        JsonNode state = read(file, vectors);
        if (!damages.isEmpty()) {
          notice.accept(
              "note: %s is damaged (%s); going on from the checkpoint before it, to the same numbers"
                  .formatted(newest(), damages.getFirst()));
          // The next checkpoint must not push out the only whole one.
          AtomicFile.replace(newest(), previous());
        }
        return Optional.of(state);
      } catch (IOException | IllegalArgumentException | JacksonException e) {
        damages.add(String.valueOf(e.getMessage()));
      }
    }
    if (damages.isEmpty()) {
      return Optional.empty();
    }
    throw new InputException(
        "%s: the checkpoint is damaged, and the run cannot go on from it: %s; put back a copy of the file, or begin a new run"
            .formatted(newest(), String.join("; the one before it: ", damages)));
  }

  /** The state alone of the newest checkpoint that seems whole, without reading its vectors. */
  Optional<JsonNode> peek() {
    for (Path file : List.of(newest(), previous())) {
      if (Files.isRegularFile(file)) {
        try (VectorFile stored = VectorFile.open(file)) {
          return Optional.of(state(stored));
        } catch (IOException | IllegalArgumentException | JacksonException e) {
          // The other one may be whole; whoever resumes is told.
        }
      }
    }
    return Optional.empty();
  }

  private static JsonNode read(Path file, SequencedMap<String, ParameterVector> vectors)
      throws IOException {
    try (VectorFile stored = VectorFile.open(file)) {
      JsonNode state = state(stored);
      for (var entry : vectors.entrySet()) {
        if (!stored.names().contains(entry.getKey())) {
          throw new InputException(
              file + ": holds no vector '" + entry.getKey() + "'; it belongs to another method");
        }
        stored.read(entry.getKey(), entry.getValue());
      }
      JsonNode written = state.path(CHECKSUMS);
      checksums(vectors)
          .forEach(
              (name, checksum) -> {
                if (written.path(name).asLong(-1) != checksum) {
                  throw new IllegalArgumentException(
                      "vector '" + name + "' is not what was written");
                }
              });
      return state;
    }
  }

  private static JsonNode state(VectorFile stored) {
    String state = stored.metadata().getOrDefault(STATE, "");
    if (!stored.metadata().getOrDefault(STATE_CHECKSUM, "").equals(checksum(state))) {
      throw new IllegalArgumentException("its state is not what was written");
    }
    return new ObjectMapper().readTree(state);
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
}
