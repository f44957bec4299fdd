package io.github.recurrentkif.model;

import io.github.recurrentkif.memory.AtomicFolder;
import io.github.recurrentkif.memory.DataType;
import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.memory.SafetensorsFile;
import io.github.recurrentkif.memory.SafetensorsWriter;
import io.github.recurrentkif.memory.Shape;
import io.github.recurrentkif.memory.StoredTensor;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.SequencedSet;
import java.util.TreeSet;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;

/**
 * A LoRA adapter in a folder as PEFT writes it: {@code adapter_config.json} and {@code
 * adapter_model.safetensors} with names {@code base_model.model.MODULE.lora_A.weight}.
 */
public record PeftAdapter(Path folder, LoraConfig config) {

  /** The file of an adapter's configuration. */
  public static final String CONFIG = "adapter_config.json";

  /** The file of its matrices. */
  public static final String WEIGHTS = "adapter_model.safetensors";

  /** What their names begin with; the name of the module follows. */
  public static final String PREFIX = "base_model.model.";

  /** Keys that change what an adapter computes, with the value that means "not used". */
  private static final SequencedMap<String, List<String>> UNSUPPORTED = unsupported();

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

  /**
   * Reads the configuration of an adapter.
   *
   * @throws InputException if the folder is not a LoRA adapter that this engine can apply
   */
  public static PeftAdapter open(Path folder) {
    Path file = folder.resolve(CONFIG);
    if (!Files.isRegularFile(file)) {
      throw new InputException(
          folder
              + ": not an adapter: there is no "
              + CONFIG
              + " in it (as PEFT's save_pretrained"
              + " writes it)");
    }
    if (!Files.isRegularFile(folder.resolve(WEIGHTS))) {
      throw new InputException(folder + ": the adapter has no " + WEIGHTS);
    }
    JsonNode json;
    try {
      json = new ObjectMapper().readTree(file.toFile());
    } catch (JacksonException e) {
      throw new InputException(file + ": not valid JSON: " + e.getOriginalMessage(), e);
    }
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
    int rank = config.positive("r");
    return new PeftAdapter(
        folder,
        new LoraConfig(
            rank,
            config.number("lora_alpha", rank),
            config.number("lora_dropout", 0),
            targets(json, config)));
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

  /**
   * Copies the adapter's matrices into a vector.
   *
   * @throws InputException if a tensor is missing, left over, or of another shape: it belongs to
   *     another model
   */
  public void load(ParameterVector weights) {
    Path file = folder.resolve(WEIGHTS);
    try (SafetensorsFile source = SafetensorsFile.open(file);
        Arena arena = Arena.ofConfined()) {
      TreeSet<String> left = new TreeSet<>(source.names());
      for (ParameterLayout.Tensor tensor : weights.layout().tensors()) {
        String name = PREFIX + tensor.name();
        if (!left.remove(name)) {
          throw new InputException(
              file
                  + ": tensor '"
                  + name
                  + "' is missing; the adapter belongs to another model or"
                  + " has other target modules");
        }
        Shape found = source.shape(name);
        if (!found.equals(tensor.shape())) {
          throw new InputException(
              file
                  + ": tensor '"
                  + name
                  + "' has shape "
                  + found
                  + ", expected "
                  + tensor.shape()
                  + "; the adapter belongs to another model or has another rank");
        }
        weights.upload(tensor.name(), source.float32(name, arena));
      }
      if (!left.isEmpty()) {
        throw new InputException(
            file
                + ": tensor '"
                + left.first()
                + "' has no place in this model"
                + (left.size() > 1 ? ", nor have " + (left.size() - 1) + " others" : ""));
      }
    } catch (IOException e) {
      throw new InputException(file + ": cannot be read: " + e.getMessage(), e);
    }
  }

  /**
   * Writes an adapter that PEFT loads. The folder appears complete, or not at all.
   *
   * @param model of the backbone
   * @param base what PEFT should load it onto: the model's folder, as the user named it
   */
  public static void write(
      Path folder, LoraConfig config, ModelConfig model, String base, ParameterVector weights) {
    Path parent = folder.toAbsolutePath().resolveSibling("");
    try {
      Files.createDirectories(parent);
      String prefix = folder.getFileName() + ".tmp-";
      deleteLeftovers(parent, prefix);
      Path temporary = Files.createTempDirectory(parent, prefix);
      writeConfig(temporary.resolve(CONFIG), config, model.peftTaskType(), base);
      writeWeights(temporary.resolve(WEIGHTS), weights);
      AtomicFolder.delete(folder);
      Files.move(temporary, folder, StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException e) {
      throw new UncheckedIOException(
          folder + ": the adapter cannot be written: " + e.getMessage(), e);
    }
  }

  /** What a process left that was killed while it wrote the same adapter. */
  private static void deleteLeftovers(Path parent, String prefix) throws IOException {
    try (var siblings = Files.list(parent)) {
      for (Path sibling : siblings.toList()) {
        if (sibling.getFileName().toString().startsWith(prefix)) {
          AtomicFolder.delete(sibling);
        }
      }
    }
  }

  private static void writeConfig(Path file, LoraConfig config, String taskType, String base)
      throws IOException {
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("base_model_name_or_path", base);
    json.put("bias", "none");
    json.put("fan_in_fan_out", false);
    json.put("inference_mode", true);
    json.put("init_lora_weights", true);
    // PEFT declares a whole number, and reads a fraction as well.
    boolean whole = config.alpha() == Math.rint(config.alpha());
    json.put("lora_alpha", whole ? (Number) (long) config.alpha() : config.alpha());
    json.put("lora_dropout", config.dropout());
    json.put("peft_type", "LORA");
    json.put("r", config.rank());
    json.put("target_modules", new ArrayList<>(config.targets()));
    json.put("task_type", taskType);
    byte[] bytes =
        JsonMapper.builder()
            .enable(SerializationFeature.INDENT_OUTPUT)
            .build()
            .writeValueAsBytes(json);
    Files.write(file, bytes);
  }

  private static void writeWeights(Path file, ParameterVector weights) throws IOException {
    try (Arena arena = Arena.ofConfined()) {
      List<StoredTensor> tensors = new ArrayList<>();
      for (ParameterLayout.Tensor tensor : weights.layout().tensors()) {
        MemorySegment host = arena.allocate(tensor.elements() * Float.BYTES, Float.BYTES);
        weights.device().download(weights.slice(tensor), host);
        tensors.add(new StoredTensor(PREFIX + tensor.name(), DataType.F32, tensor.shape(), host));
      }
      SequencedMap<String, String> metadata = new LinkedHashMap<>();
      metadata.put("format", "pt");
      SafetensorsWriter.write(file, tensors, metadata);
    }
  }
}
