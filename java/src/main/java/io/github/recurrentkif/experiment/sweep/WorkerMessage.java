package io.github.recurrentkif.experiment.sweep;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** What the process of one run tells the sweep that started it, as a line of JSON. */
public sealed interface WorkerMessage {

  /**
   * It learns.
   *
   * @param task from 0
   * @param completed updates of it
   */
  record Learning(int task, long completed, long updates) implements WorkerMessage {}

  /**
   * It examines.
   *
   * @param after the number of the last task learned, from 0
   * @param task which it is examined on, from 0
   * @param answered samples of it
   */
  record Examining(int after, int task, int answered) implements WorkerMessage {}

  /** As one line. */
  default String line() {
    Map<String, Object> json = new LinkedHashMap<>();
    switch (this) {
      case Learning(int task, long completed, long updates) -> {
        json.put("learning", task);
        json.put("completed", completed);
        json.put("updates", updates);
      }
      case Examining(int after, int task, int answered) -> {
        json.put("examining", task);
        json.put("after", after);
        json.put("answered", answered);
      }
    }
    return JsonMapper.shared().writeValueAsString(json);
  }

  /** The message of a line; empty if it is something else that was written there. */
  static Optional<WorkerMessage> parse(String line) {
    try {
      JsonNode json = JsonMapper.shared().readTree(line);
      if (json.has("learning")) {
        return Optional.of(
            new Learning(
                json.path("learning").asInt(),
                json.path("completed").asLong(),
                json.path("updates").asLong()));
      }
      if (json.has("examining")) {
        return Optional.of(
            new Examining(
                json.path("after").asInt(),
                json.path("examining").asInt(),
                json.path("answered").asInt()));
      }
      return Optional.empty();
    } catch (JacksonException e) {
      return Optional.empty();
    }
  }
}
