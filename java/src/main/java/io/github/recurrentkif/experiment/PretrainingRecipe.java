package io.github.recurrentkif.experiment;

import io.github.recurrentkif.memory.InputException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;

/**
 * What a pretraining makes and from what, as a JSON file: {@code "config"} is the {@code
 * config.json} of the model to be, {@code "settings"} are {@link PretrainingSettings}, {@code
 * "tokenizer"} is the folder of the tokenizer (the recipe's own if absent), {@code "text"} a list
 * of text files, one text a line, and {@code "tasks"} a data folder with prompts and answers, as
 * {@code kif train} takes it (the generated world where either is absent). {@code "weights"} is a
 * safetensors file with tensors to begin with; all others are drawn. Everything is seen from the
 * recipe's folder.
 */
public record PretrainingRecipe(
    JsonNode config,
    Path tokenizer,
    List<Path> texts,
    Optional<Path> tasks,
    Optional<Path> weights,
    PretrainingSettings settings) {

  private static final List<String> KEYS =
      List.of("config", "tokenizer", "text", "tasks", "weights", "settings");

  public PretrainingRecipe {
    texts = List.copyOf(texts);
  }

  /**
   * @throws InputException if the file is no recipe
   */
  public static PretrainingRecipe read(Path file) {
    if (!Files.isRegularFile(file)) {
      throw new InputException(
          file + ": expected the recipe of a pretraining, found no such file; check the name");
    }
    JsonNode json;
    try {
      json = new ObjectMapper().readTree(file.toFile());
    } catch (JacksonException e) {
      throw new InputException(file + ": not valid JSON: " + e.getOriginalMessage(), e);
    }
    if (!json.path("config").isObject()) {
      throw new InputException(
          file + ", key 'config': expected the config.json of the model to be made, found none");
    }
    for (String key : json.propertyNames()) {
      if (!KEYS.contains(key)) {
        throw new InputException(
            file + ": unknown key '" + key + "'; a recipe has " + String.join(", ", KEYS));
      }
    }
    return of(
        json,
        file.toAbsolutePath().resolveSibling(json.path("tokenizer").asString(".")).normalize(),
        file);
  }

  /** As a pretraining keeps its own, with absolute paths. */
  static PretrainingRecipe fromJson(JsonNode json, Path tokenizer) {
    return of(json, tokenizer, Path.of(""));
  }

  /**
   * @param file relative paths lie beside it
   */
  private static PretrainingRecipe of(JsonNode json, Path tokenizer, Path file) {
    Map<String, String> settings = new LinkedHashMap<>();
    json.path("settings")
        .properties()
        .forEach(entry -> settings.put(entry.getKey(), entry.getValue().asString()));
    List<Path> texts = new ArrayList<>();
    json.path("text").forEach(text -> texts.add(file.resolveSibling(text.asString())));
    return new PretrainingRecipe(
        json.get("config"),
        tokenizer,
        texts,
        Optional.ofNullable(json.get("tasks")).map(tasks -> file.resolveSibling(tasks.asString())),
        Optional.ofNullable(json.get("weights")).map(name -> file.resolveSibling(name.asString())),
        PretrainingSettings.defaults().with(settings));
  }

  public PretrainingRecipe with(Map<String, String> changed) {
    return new PretrainingRecipe(config, tokenizer, texts, tasks, weights, settings.with(changed));
  }

  Map<String, Object> toJson() {
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("version", RunFolder.VERSION);
    json.put("config", config);
    json.put("text", texts.stream().map(text -> text.toAbsolutePath().toString()).toList());
    tasks.ifPresent(folder -> json.put("tasks", folder.toAbsolutePath().toString()));
    weights.ifPresent(file -> json.put("weights", file.toAbsolutePath().toString()));
    json.put("settings", settings.resolved());
    return json;
  }
}
