package io.github.recurrentkif.experiment;

import io.github.recurrentkif.memory.AtomicFile;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SequencedMap;
import java.util.function.LongSupplier;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;

/**
 * Where the time of a run goes, by task and by part of the work. Every moment belongs to some part:
 * a lap ends where the next one begins. Kept beside the events, which know no clock.
 *
 * <p>What a killed process did since its last checkpoint is lost together with the time it took.
 */
public final class TimeSpent {

  /** What a run does. */
  public enum Part {
    /** Loading the model, writing graphs, restoring a checkpoint. */
    PREPARATION,
    /** On new data. */
    UPDATES,
    /** On memory. */
    REPLAY,
    /** Thresholds, counts and merge. */
    FUSION,
    EVALUATION,
    /** And adapters. */
    CHECKPOINTS;

    /** As people and files write it. */
    public String text() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  private final Path file;
  private final LongSupplier nanoseconds;
  private final List<String> began;
  private final SequencedMap<String, Map<Part, Double>> seconds;
  private long lap;

  private TimeSpent(
      Path file,
      LongSupplier nanoseconds,
      List<String> began,
      SequencedMap<String, Map<Part, Double>> seconds) {
    this.file = file;
    this.nanoseconds = nanoseconds;
    this.began = began;
    this.seconds = seconds;
    this.lap = nanoseconds.getAsLong();
  }

  /** Begins to count, on top of what a file holds. */
  static TimeSpent goOn(Path file) {
    return goOn(file, System::nanoTime, Instant.now());
  }

  /**
   * @param nanoseconds a clock that only runs on
   */
  static TimeSpent goOn(Path file, LongSupplier nanoseconds, Instant now) {
    List<String> began = new ArrayList<>();
    SequencedMap<String, Map<Part, Double>> seconds = new LinkedHashMap<>();
    try {
      if (Files.exists(file)) {
        JsonNode json = new ObjectMapper().readTree(Files.readString(file));
        json.path("began").forEach(instant -> began.add(instant.asString()));
        seconds.putAll(seconds(json));
      }
    } catch (IOException | JacksonException e) {
      // Times are a comfort: a run goes on without those of before.
      seconds.clear();
    }
    began.add(now.toString());
    return new TimeSpent(file, nanoseconds, began, seconds);
  }

  /** The time since the last lap was spent on this. */
  void lap(String task, Part part) {
    long now = nanoseconds.getAsLong();
    seconds
        .computeIfAbsent(task, _ -> new EnumMap<>(Part.class))
        .merge(part, (now - lap) / 1e9, Double::sum);
    lap = now;
  }

  /** Writes the file, whole or as it was before. */
  void save() {
    Map<String, Object> tasks = new LinkedHashMap<>();
    seconds.forEach(
        (task, parts) -> {
          Map<String, Object> named = new LinkedHashMap<>();
          parts.forEach((part, time) -> named.put(part.text(), Math.round(time * 1e3) / 1e3));
          tasks.put(task, named);
        });
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("began", began);
    json.put("seconds", tasks);
    AtomicFile.write(
        file,
        JsonMapper.builder()
            .enable(SerializationFeature.INDENT_OUTPUT)
            .build()
            .writeValueAsBytes(json));
  }

  /** Seconds by task and part, as a file has them. */
  static SequencedMap<String, Map<Part, Double>> seconds(JsonNode json) {
    SequencedMap<String, Map<Part, Double>> seconds = new LinkedHashMap<>();
    json.path("seconds")
        .properties()
        .forEach(
            task -> {
              Map<Part, Double> parts = new EnumMap<>(Part.class);
              for (Part part : Part.values()) {
                if (task.getValue().has(part.text())) {
                  parts.put(part, task.getValue().path(part.text()).doubleValue());
                }
              }
              seconds.put(task.getKey(), parts);
            });
    return seconds;
  }
}
