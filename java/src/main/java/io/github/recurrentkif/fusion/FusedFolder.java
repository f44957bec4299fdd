package io.github.recurrentkif.fusion;

import io.github.recurrentkif.kernels.StoredWeights;
import io.github.recurrentkif.memory.AtomicFolder;
import io.github.recurrentkif.memory.DataType;
import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.memory.SafetensorsOutput;
import io.github.recurrentkif.memory.SafetensorsOutput.Tensor;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.ObjectMapper;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/**
 * The folder a fusion writes: weights in files as the pattern's are, everything else
 * (configuration, tokenizer) copied from it. It appears under its name when it is whole.
 */
public final class FusedFolder {

  /** What is fused into, and how each tensor is stored. */
  private final StoredModel pattern;

  private final @Nullable DataType type;

  /**
   * @param pattern a model's or an adapter's folder, or a file, whose files and names the result
   *     has
   * @param type of the fused tensors; null for that of the pattern
   */
  public FusedFolder(StoredModel pattern, @Nullable DataType type) {
    this.pattern = pattern;
    this.type = type;
  }

  /**
   * The tensors that a fusion has to compute; others (whole numbers) are copied.
   *
   * @throws InputException if there is none, or one of a type that is neither
   */
  public List<String> fused() {
    List<String> fused = new ArrayList<>();
    for (String name : pattern.names()) {
      DataType stored = pattern.dataType(name);
      if (StoredWeights.isSupported(stored)) {
        fused.add(name);
      } else if (!isWhole(stored)) {
        throw new InputException(
            "%s: tensor '%s' holds %s; F32, F16 and BF16 can be merged: convert it"
                .formatted(pattern.file(name), name, stored));
      }
    }
    if (fused.isEmpty()) {
      throw new InputException(
          pattern.place() + ": holds no tensor of F32, F16 or BF16, and no others can be merged");
    }
    return fused;
  }

  private static boolean isWhole(DataType type) {
    return switch (type) {
      case BOOL, U8, I8, U16, I16, U32, I32, U64, I64 -> true;
      default -> false;
    };
  }

  /**
   * Writes the folder.
   *
   * @param record of how it was made, for {@code fusion.json}
   * @throws InputException if it exists and is not empty, or a tensor cannot be fused; nothing is
   *     left behind
   */
  public void write(Path output, Fusion fusion, Map<String, Object> record) {
    requireFree(output);
    try {
      AtomicFolder.write(
          output,
          folder -> {
            fusion.prepare(fused());
            copyCompanions(folder);
            for (Map.Entry<Path, List<String>> file : files().entrySet()) {
              String name = file.getKey().getFileName().toString();
              writeFile(folder.resolve(name), file.getValue(), fusion);
            }
            writeRecord(folder, record);
          });
    } catch (IOException e) {
      throw InputException.unwritable(output, e);
    }
  }

  static void writeRecord(Path folder, Map<String, Object> record) throws IOException {
    Files.write(folder.resolve("fusion.json"), json().writeValueAsBytes(record));
  }

  /**
   * @throws InputException if something stands there
   */
  public static void requireFree(Path output) {
    if (!Files.exists(output, LinkOption.NOFOLLOW_LINKS)) {
      return;
    }
    boolean empty = false;
    // The result would take the place of a link, not of what it leads to.
    if (Files.isDirectory(output, LinkOption.NOFOLLOW_LINKS)) {
      try (DirectoryStream<Path> entries = Files.newDirectoryStream(output)) {
        empty = !entries.iterator().hasNext();
      } catch (IOException e) {
        throw InputException.unreadable(output, e);
      }
    }
    if (!empty) {
      throw new InputException(output + ": exists already; name another folder, or remove it");
    }
  }

  private void writeFile(Path file, List<String> names, Fusion fusion) throws IOException {
    SequencedMap<String, String> metadata = new LinkedHashMap<>();
    metadata.put("format", "pt");
    List<Tensor> tensors = new ArrayList<>();
    for (String name : names) {
      tensors.add(new Tensor(name, typeOf(name), pattern.shape(name)));
    }
    try (SafetensorsOutput output = SafetensorsOutput.create(file, tensors, metadata)) {
      for (Tensor tensor : output.tensors()) {
        if (StoredWeights.isSupported(tensor.dataType())) {
          fusion.fuse(tensor.name(), output, tensor.dataType());
        } else {
          copyTensor(tensor, output);
        }
      }
      output.force();
    }
  }

  private DataType typeOf(String name) {
    DataType stored = pattern.dataType(name);
    return type == null || !StoredWeights.isSupported(stored) ? stored : type;
  }

  private void copyTensor(Tensor tensor, SafetensorsOutput output) throws IOException {
    long size = tensor.dataType().bytes(tensor.shape());
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment chunk = arena.allocate(Math.min(size, 1L << 20));
      for (long first = 0; first < size; first += chunk.byteSize()) {
        MemorySegment part = chunk.asSlice(0, Math.min(chunk.byteSize(), size - first));
        pattern.readBytes(tensor.name(), first, part);
        output.write(tensor.name(), first, part);
      }
    }
  }

  /** The pattern's files and what each holds. */
  private Map<Path, List<String>> files() {
    Map<Path, List<String>> files = new TreeMap<>();
    for (String name : pattern.names()) {
      files.computeIfAbsent(pattern.file(name), _ -> new ArrayList<>()).add(name);
    }
    return files;
  }

  /** Everything beside the weights; whatever else holds weights would contradict the new ones. */
  private void copyCompanions(Path target) throws IOException {
    if (!Files.isDirectory(pattern.path())) {
      return;
    }
    try (DirectoryStream<Path> entries = Files.newDirectoryStream(pattern.path())) {
      for (Path entry : entries) {
        String name = entry.getFileName().toString();
        boolean weights =
            name.matches(".*\\.(safetensors|bin|pt|pth|h5|msgpack|gguf|onnx|ot)(\\.index\\.json)?")
                && !name.equals("model.safetensors.index.json");
        if (Files.isRegularFile(entry) && !weights && !name.startsWith(".")) {
          Files.copy(entry, target.resolve(name));
        }
      }
    }
    Path config = target.resolve("config.json");
    if (type != null && Files.exists(config)) {
      rename(config, type);
    }
  }

  /** Tells transformers in which type the weights are. */
  private static void rename(Path config, DataType type) throws IOException {
    String name =
        switch (type) {
          case BF16 -> "bfloat16";
          case F16 -> "float16";
          default -> "float32";
        };
    ObjectMapper json = json();
    if (json.readTree(Files.readAllBytes(config)) instanceof ObjectNode object) {
      for (String key : List.of("torch_dtype", "dtype")) {
        if (object.has(key)) {
          object.put(key, name);
        }
      }
      Files.write(config, json.writeValueAsBytes(object));
    }
  }

  private static ObjectMapper json() {
    return JsonMapper.builder().enable(SerializationFeature.INDENT_OUTPUT).build();
  }
}
