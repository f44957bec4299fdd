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
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.TreeMap;
import java.util.TreeSet;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;

/**
 * An adapter in a folder: {@code adapter_config.json} and {@code adapter_model.safetensors}, a
 * tensor for each of the layout's with {@code base_model.model.} before its name. A LoRA adapter is
 * as PEFT writes it; any other has the key {@code kif_adapter}, its kind, and no {@code peft_type},
 * so that nobody takes it for one of PEFT's.
 */
public record StoredAdapter(Path folder, AdapterConfig config) {

  private static final String KIND = "kif_adapter";
  private static final String MIXTURE = "mixture-of-lora";
  private static final String PROMPTS = "prompt-pool";
  private static final String ATTENTION = "task-attention";

  /**
   * Reads the configuration of an adapter.
   *
   * @throws InputException if the folder holds no adapter that this engine can apply
   */
  public static StoredAdapter open(Path folder) {
    Path file = folder.resolve(PeftAdapter.CONFIG);
    if (!Files.isRegularFile(file)) {
      throw new InputException(
          folder
              + ": not an adapter: there is no "
              + PeftAdapter.CONFIG
              + " in it (as PEFT's save_pretrained"
              + " writes it)");
    }
    if (!Files.isRegularFile(folder.resolve(PeftAdapter.WEIGHTS))) {
      throw new InputException(folder + ": the adapter has no " + PeftAdapter.WEIGHTS);
    }
    JsonNode json;
    try {
      json = new ObjectMapper().readTree(file.toFile());
    } catch (JacksonException e) {
      throw new InputException(file + ": not valid JSON: " + e.getOriginalMessage(), e);
    }
    return new StoredAdapter(folder, read(json, file));
  }

  /**
   * The configuration of an adapter that is to be a LoRA.
   *
   * @throws InputException if the folder holds none that this engine can apply
   */
  public static LoraConfig loraOf(Path folder) {
    if (open(folder).config() instanceof LoraConfig lora) {
      return lora;
    }
    throw new InputException(
        folder.resolve(PeftAdapter.CONFIG)
            + ": key '"
            + KIND
            + "': expected a LoRA adapter as PEFT writes it, found another kind; kif evaluate and"
            + " kif generate take it, kif fuse does not");
  }

  private static AdapterConfig read(JsonNode json, Path file) {
    ConfigReader config = new ConfigReader(json, file);
    String kind = config.text(KIND, "");
    return switch (kind) {
      case "" -> PeftAdapter.read(json, file);
      case MIXTURE -> new MixtureConfig(PeftAdapter.lora(json, config), config.positive("experts"));
      case PROMPTS ->
          new PromptPoolConfig(
              config.positive("prompts"),
              config.positive("length"),
              config.positive("chosen"),
              config.number("pull", 0));
      case ATTENTION ->
          new TaskAttentionConfig(
              PeftAdapter.lora(json, config),
              config.positive("tasks"),
              config.positive("hidden"),
              config.number("temperature", 1));
      default ->
          throw config.unsupported(
              KIND,
              '"' + kind + '"',
              "\"%s\", \"%s\" or \"%s\"".formatted(MIXTURE, PROMPTS, ATTENTION));
    };
  }

  /**
   * Copies the adapter's tensors into a vector.
   *
   * @throws InputException if a tensor is missing, left over, or of another shape: it belongs to
   *     another model
   */
  public void load(ParameterVector weights) {
    Path file = folder.resolve(PeftAdapter.WEIGHTS);
    try (SafetensorsFile source = SafetensorsFile.open(file);
        Arena arena = Arena.ofConfined()) {
      TreeSet<String> left = new TreeSet<>(source.names());
      for (ParameterLayout.Tensor tensor : weights.layout().tensors()) {
        String name = PeftAdapter.PREFIX + tensor.name();
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
      throw InputException.unreadable(file, e);
    }
  }

  /**
   * Writes an adapter; one that is a LoRA as PEFT loads it. The folder appears complete, or not at
   * all.
   *
   * @param model of the backbone
   * @param base what PEFT should load it onto: the model's folder, as the user named it
   */
  public static void write(
      Path folder, AdapterConfig config, ModelConfig model, String base, ParameterVector weights) {
    Path parent = folder.toAbsolutePath().resolveSibling("");
    try {
      Files.createDirectories(parent);
      String prefix = folder.getFileName() + ".tmp-";
      deleteLeftovers(parent, prefix);
      Path temporary = AtomicFolder.newFolder(parent, prefix);
      writeConfig(temporary.resolve(PeftAdapter.CONFIG), config, model.peftTaskType(), base);
      writeWeights(temporary.resolve(PeftAdapter.WEIGHTS), weights);
      AtomicFolder.delete(folder);
      Files.move(temporary, folder, StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException e) {
      throw InputException.unwritable(folder, e);
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

  private static void writeConfig(Path file, AdapterConfig config, String taskType, String base)
      throws IOException {
    Map<String, Object> json = new TreeMap<>();
    json.put("base_model_name_or_path", base);
    switch (config) {
      case LoraConfig lora -> PeftAdapter.describePeft(json, lora, taskType);
      case MixtureConfig mixture -> {
        json.put(KIND, MIXTURE);
        json.put("experts", mixture.experts());
        PeftAdapter.describe(json, mixture.lora());
      }
      case TaskAttentionConfig attention -> {
        json.put(KIND, ATTENTION);
        json.put("tasks", attention.tasks());
        json.put("hidden", attention.hidden());
        json.put("temperature", attention.temperature());
        PeftAdapter.describe(json, attention.lora());
      }
      case PromptPoolConfig pool -> {
        json.put(KIND, PROMPTS);
        json.put("prompts", pool.prompts());
        json.put("length", pool.length());
        json.put("chosen", pool.chosen());
        json.put("pull", pool.pull());
      }
    }
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
        tensors.add(
            new StoredTensor(
                PeftAdapter.PREFIX + tensor.name(), DataType.F32, tensor.shape(), host));
      }
      SequencedMap<String, String> metadata = new LinkedHashMap<>();
      metadata.put("format", "pt");
      SafetensorsWriter.write(file, tensors, metadata);
    }
  }
}
