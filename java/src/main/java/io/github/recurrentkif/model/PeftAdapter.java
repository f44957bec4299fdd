package io.github.recurrentkif.model;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.SequencedSet;
import tools.jackson.databind.JsonNode;

/** The configuration of a LoRA adapter as PEFT writes it. */
public final class PeftAdapter {

  /** The file of an adapter's configuration. */
  public static final String CONFIG = "adapter_config.json";

  /** The file of its matrices. */
  public static final String WEIGHTS = "adapter_model.safetensors";

  /** What their names begin with; the name of the module follows. */
  public static final String PREFIX = "base_model.model.";

  /** Keys that change what an adapter computes, with the value that means "not used". */
  private static final SequencedMap<String, List<String>> UNSUPPORTED = unsupported();

  private PeftAdapter() {}

  private static SequencedMap<String, List<String>> unsupported() {
    SequencedMap<String, List<String>> keys = new LinkedHashMap<>();
    keys.put("use_dora", List.of("false"));
    keys.put("use_rslora", List.of("false"));
    keys.put("use_qalora", List.of("false"));
    keys.put("lora_bias", List.of("false"));
    keys.put("fan_in_fan_out", List.of("false"));
    keys.put("bias", List.of("\"none\""));
    keys.put("rank_pattern", List.of("{}"));
    keys.put("alpha_pattern", List.of("{}"));
    keys.put("modules_to_save", List.of("[]"));
    keys.put("layers_to_transform", List.of("[]"));
    keys.put("exclude_modules", List.of("[]"));
    return keys;
  }

  static LoraConfig read(JsonNode json, Path file) {
    ConfigReader config = new ConfigReader(json, file);
    String type = config.text("peft_type", "LORA");
    if (!type.equals("LORA")) {
      throw config.unsupported("peft_type", '"' + type + '"', "\"LORA\"");
    }
    UNSUPPORTED.forEach(
        (key, unused) -> {
          JsonNode found = json.get(key);
          if (found != null && !found.isNull() && !unused.contains(found.toString())) {
            throw config.unsupported(key, found.toString(), unused.getFirst());
          }
        });
    return lora(json, config);
  }

  static void describePeft(Map<String, Object> json, LoraConfig config, String taskType) {
    json.put("bias", "none");
    json.put("fan_in_fan_out", false);
    json.put("inference_mode", true);
    json.put("init_lora_weights", true);
    json.put("peft_type", "LORA");
    json.put("task_type", taskType);
    describe(json, config);
  }

  /** Rank, alpha, dropout and targets, under the names that PEFT has for them. */
  static LoraConfig lora(JsonNode json, ConfigReader config) {
    int rank = config.positive("r");
    return new LoraConfig(
        rank,
        config.number("lora_alpha", rank),
        config.number("lora_dropout", 0),
        targets(json, config));
  }

  private static SequencedSet<String> targets(JsonNode json, ConfigReader config) {
    JsonNode found = json.get("target_modules");
    SequencedSet<String> targets = new LinkedHashSet<>();
    if (found != null && found.isArray()) {
      found.forEach(target -> targets.add(target.asString()));
    }
    if (targets.isEmpty()) {
      throw config.unsupported(
          "target_modules", String.valueOf(found), "a list of module names such as [\"q\", \"v\"]");
    }
    return targets;
  }

  /** Writes them. */
  static void describe(Map<String, Object> json, LoraConfig config) {
    // PEFT declares a whole number, and reads a fraction as well.
    boolean whole = config.alpha() == Math.rint(config.alpha());
    json.put("lora_alpha", whole ? (Number) (long) config.alpha() : config.alpha());
    json.put("lora_dropout", config.dropout());
    json.put("r", config.rank());
    json.put("target_modules", new ArrayList<>(config.targets()));
  }
}
