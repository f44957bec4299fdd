package io.github.recurrentkif.model;

import io.github.recurrentkif.memory.ConvertedWeights;
import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.memory.SafetensorsFile;
import io.github.recurrentkif.memory.SafetensorsFolder;
import io.github.recurrentkif.memory.Shape;
import io.github.recurrentkif.memory.StoredTensor;
import io.github.recurrentkif.memory.TensorSource;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;

/**
 * A model in a Hugging Face folder as it is: {@code config.json} and {@code *.safetensors}. Weights
 * stay in their files and are mapped; those that are not float32 are converted once, into a file of
 * the cache that is mapped in their place. Who copies weights elsewhere has them converted on the
 * way instead.
 */
public final class ModelFolder implements AutoCloseable {

  private static final String T5_EMBEDDING = "shared.weight";
  private static final String HEAD = "lm_head.weight";

  private final Path folder;
  private final ModelConfig config;
  private final SafetensorsFolder files;
  private final Path cache;
  private final Arena arena = Arena.ofShared();
  private @Nullable SafetensorsFile converted;

  private ModelFolder(Path folder, ModelConfig config, SafetensorsFolder files, Path cache) {
    this.folder = folder;
    this.config = config;
    this.files = files;
    this.cache = cache;
  }

  /**
   * Opens a folder.
   *
   * @param cache where converted weights are kept
   * @throws InputException if it is no model, of an architecture that is not supported, or its
   *     files are damaged
   */
  public static ModelFolder open(Path folder, Path cache) {
    ModelConfig config = withGenerationTokens(readConfig(folder), folder);
    try {
      SafetensorsFolder files = SafetensorsFolder.open(folder);
      return new ModelFolder(folder, config.withTiedHead(isHeadTied(config, files)), files, cache);
    } catch (IOException e) {
      throw new InputException(InputException.reason(e), e);
    }
  }

  /**
   * Whether the embedding serves as head. The files decide, as in the Transformers library since
   * version 5, which writes {@code tie_word_embeddings: true} whatever the model is: a head that
   * stands in them and is not the embedding again is a head of its own.
   */
  private static boolean isHeadTied(ModelConfig config, SafetensorsFolder files) {
    if (!files.contains(HEAD)) {
      return true;
    }
    if (!config.tiedHead() || !files.contains(config.embeddingName())) {
      return false;
    }
    StoredTensor head = files.tensor(HEAD);
    StoredTensor embedding = files.tensor(config.embeddingName());
    return head.dataType() == embedding.dataType() && head.bytes().mismatch(embedding.bytes()) < 0;
  }

  private static ModelConfig readConfig(Path folder) {
    Path file = folder.resolve("config.json");
    if (!Files.isRegularFile(file)) {
      throw new InputException(
          folder
              + ": not a model: there is no config.json in it (expected a Hugging Face folder with"
              + " config.json, *.safetensors and tokenizer.json)");
    }
    try {
      JsonNode json = new ObjectMapper().readTree(file.toFile());
      return ModelConfig.parse(json, file);
    } catch (JacksonException e) {
      throw new InputException(file + ": not valid JSON: " + e.getOriginalMessage(), e);
    }
  }

  /**
   * With the end tokens of {@code generation_config.json} where it names some, as Transformers
   * generates: chat models end a turn with another token than a text.
   */
  private static ModelConfig withGenerationTokens(ModelConfig config, Path folder) {
    Path file = folder.resolve("generation_config.json");
    if (!Files.isRegularFile(file)) {
      return config;
    }
    try {
      JsonNode json = new ObjectMapper().readTree(file.toFile());
      ConfigReader reader = new ConfigReader(json, file);
      return json.hasNonNull("eos_token_id")
          ? config.withEndTokens(reader.tokens("eos_token_id", 0))
          : config;
    } catch (JacksonException e) {
      throw new InputException(file + ": not valid JSON: " + e.getOriginalMessage(), e);
    }
  }

  public Path folder() {
    return folder;
  }

  public ModelConfig config() {
    return config;
  }

  /** Where the weights come from. */
  public TensorSource files() {
    return files;
  }

  /**
   * A weight as float32, row-major: a slice of a mapped file, read-only, that lives as long as this
   * object.
   *
   * @throws InputException as {@link #require}, or if it has to be converted and the cache cannot
   *     be written
   */
  public synchronized MemorySegment weight(String name, Shape expected) {
    String stored = require(name, expected);
    return files.isFloat32InPlace(stored)
        ? files.float32(stored, arena)
        : converted().float32(stored, arena);
  }

  /**
   * A weight as float32, row-major, for who copies it elsewhere: a slice of its mapped file where
   * that holds float32, else converted into the arena, and kept nowhere.
   *
   * @throws InputException as {@link #require}
   */
  public MemorySegment float32(String name, Shape expected, Arena passing) {
    return files.float32(require(name, expected), passing);
  }

  /**
   * The same as bfloat16: a slice of its mapped file where that holds bfloat16, at any byte, else
   * rounded into the arena.
   *
   * @throws InputException as {@link #require}
   */
  public MemorySegment bfloat16(String name, Shape expected, Arena passing) {
    return files.tensor(require(name, expected)).bfloat16(passing).bytes();
  }

  /**
   * The name of a weight in the files.
   *
   * @throws InputException if the files have no such tensor, it has another shape, or no numbers
   *     that can be used
   */
  public String require(String name, Shape expected) {
    String stored = storedName(name);
    Shape found = files.shape(stored);
    if (!found.equals(expected)) {
      throw new InputException(
          folder
              + ": tensor '"
              + stored
              + "' has shape "
              + found
              + ", but config.json asks for "
              + expected);
    }
    if (!files.dataType(stored).readsAsFloat32()) {
      throw new InputException(
          folder
              + ": tensor '"
              + stored
              + "' holds "
              + files.dataType(stored)
              + ", which is not supported; use a checkpoint of F32, F16, BF16 or F64");
    }
    return stored;
  }

  private SafetensorsFile converted() {
    if (converted == null) {
      try {
        converted = ConvertedWeights.open(files, cache);
      } catch (IOException e) {
        throw new InputException(folder + ": " + InputException.reason(e), e);
      }
    }
    return converted;
  }

  /** The file that stands for weights that are not float32, once one of them has been asked for. */
  public synchronized Optional<Path> convertedFile() {
    return Optional.ofNullable(converted).map(SafetensorsFile::path);
  }

  /** Some checkpoints store the shared embedding under the name of one of its users. */
  private String storedName(String name) {
    if (files.contains(name)) {
      return name;
    }
    if (name.equals(T5_EMBEDDING)) {
      for (String alias :
          new String[] {"encoder.embed_tokens.weight", "decoder.embed_tokens.weight"}) {
        if (files.contains(alias)) {
          return alias;
        }
      }
    }
    throw new InputException(
        folder
            + ": tensor '"
            + name
            + "' is missing from the safetensors files; is the checkpoint"
            + " complete, and does config.json belong to it?");
  }

  /**
   * Copies the model's own weights into a vector whose layout names them: the start of full
   * training.
   */
  public void load(ParameterVector weights) {
    weights
        .layout()
        .tensors()
        .forEach(tensor -> weights.upload(tensor.name(), weight(tensor.name(), tensor.shape())));
  }

  @Override
  public void close() {
    arena.close();
    if (converted != null) {
      converted.close();
    }
    files.close();
  }
}
