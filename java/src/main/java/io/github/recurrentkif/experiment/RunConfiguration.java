package io.github.recurrentkif.experiment;

import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.model.AdapterConfig;
import io.github.recurrentkif.model.ModelConfig;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import tools.jackson.databind.JsonNode;

/**
 * Everything that was asked of a run.
 *
 * @param model a Hugging Face folder
 * @param data the folder with {@code train/}, {@code dev/} and {@code test/}
 * @param tasks in the order they are learned
 */
public record RunConfiguration(
    Path model, Path data, List<String> tasks, MethodName method, Settings settings) {

  /**
   * @throws InputException if there is no task, or one stands twice, or the method cannot work with
   *     the settings
   */
  public RunConfiguration {
    tasks = List.copyOf(tasks);
    if (tasks.isEmpty()) {
      throw new InputException("a run needs at least one task: --tasks dbpedia,amazon");
    }
    if (new LinkedHashSet<>(tasks).size() != tasks.size()) {
      throw new InputException("a task stands twice in --tasks " + String.join(",", tasks));
    }
    method.require(settings);
  }

  /** This run, with what nobody chose as the family of the model needs it. */
  public RunConfiguration forModel(ModelConfig family) {
    return new RunConfiguration(model, data, tasks, method, settings.forModel(family));
  }

  /** The adapter that is trained. */
  public AdapterConfig adapter() {
    return method.adapter(settings, tasks.size());
  }

  Map<String, Object> toJson() {
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("version", RunFolder.VERSION);
    json.put("model", model.toAbsolutePath().normalize().toString());
    json.put("data", data.toAbsolutePath().normalize().toString());
    json.put("tasks", tasks);
    json.put("method", method.text());
    json.put("settings", settings.resolved());
    // A preset stands behind what nobody chose, so the choice itself is kept as well.
    json.put("chosen", settings.chosenNames());
    return json;
  }

  static RunConfiguration fromJson(JsonNode json) {
    List<String> tasks = new ArrayList<>();
    json.path("tasks").forEach(task -> tasks.add(task.asString()));
    Map<String, String> chosen = new LinkedHashMap<>();
    json.path("chosen")
        .forEach(
            name ->
                chosen.put(
                    name.asString(), json.path("settings").path(name.asString()).asString()));
    return new RunConfiguration(
        Path.of(json.path("model").asString()),
        Path.of(json.path("data").asString()),
        tasks,
        MethodName.parse(json.path("method").asString()),
        Settings.defaults().with(chosen));
  }
}
