package io.github.recurrentkif.fusion;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import io.github.recurrentkif.memory.AtomicFolder;
import io.github.recurrentkif.memory.DataType;
import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.memory.SafetensorsFile;
import io.github.recurrentkif.memory.SafetensorsWriter;
import io.github.recurrentkif.memory.Shape;
import io.github.recurrentkif.memory.StoredTensor;
import io.github.recurrentkif.model.LoraConfig;
import io.github.recurrentkif.model.PeftAdapter;
import io.github.recurrentkif.model.StoredAdapter;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/**
 * The exact weighted sum of what adapters add to a model, as one adapter: {@code sum of
 * c_i*scale_i*B_i*A_i = [c_1*scale_1*B_1, c_2*scale_2*B_2, ...] * [A_1; A_2; ...]}. Its rank is the
 * sum of theirs, and its scale 1.
 */
public final class ConcatenatedAdapter {

  private ConcatenatedAdapter() {}

  /**
   * Writes the adapter; the folder appears when it is whole.
   *
   * @param weights c_i, one for each adapter
   * @param record of how it was made, for {@code fusion.json}
   * @throws InputException if the adapters do not adapt the same weights, or are none
   */
  public static void write(
      Path output, List<Path> adapters, List<Double> weights, Map<String, Object> record) {
    FusedFolder.requireFree(output);
    List<LoraConfig> configs = adapters.stream().map(StoredAdapter::loraOf).toList();
    List<SafetensorsFile> files = new ArrayList<>();
    try (Arena arena = Arena.ofConfined()) {
      for (int i = 0; i < adapters.size(); i++) {
        files.add(AdapterFile.open(adapters.get(i), configs.get(i).rank()));
      }
      SafetensorsFile first = files.getFirst();
      for (SafetensorsFile file : files) {
        requireSameNames(first, file);
      }
      List<StoredTensor> tensors = new ArrayList<>();
      for (String name : first.names()) {
        AdapterName parsed = AdapterName.parse(name).orElseThrow();
        tensors.add(
            parsed.isA()
                ? stack(name, files, arena)
                : append(name, files, configs, weights, arena));
      }
      int rank = configs.stream().mapToInt(LoraConfig::rank).sum();
      AtomicFolder.write(
          output,
          folder -> {
            SequencedMap<String, String> metadata = new LinkedHashMap<>();
            metadata.put("format", "pt");
            SafetensorsWriter.write(folder.resolve(PeftAdapter.WEIGHTS), tensors, metadata);
            writeConfig(
                adapters.getFirst().resolve(PeftAdapter.CONFIG),
                folder.resolve(PeftAdapter.CONFIG),
                rank);
            FusedFolder.writeRecord(folder, record);
          });
    } catch (IOException e) {
      throw InputException.unwritable(output, e);
    } finally {
      files.forEach(SafetensorsFile::close);
    }
  }

  private static void requireSameNames(SafetensorsFile first, SafetensorsFile other) {
    for (String name : first.names()) {
      if (!other.contains(name)) {
        throw new InputException(
            "%s: tensor '%s' of %s is missing; the adapters adapt different modules"
                .formatted(other.path(), name, first.path()));
      }
    }
    for (String name : other.names()) {
      if (!first.contains(name)) {
        throw new InputException(
            "%s: tensor '%s' of %s is missing; the adapters adapt different modules"
                .formatted(first.path(), name, other.path()));
      }
    }
  }

  /** [rank_1 + rank_2 + ..., in]. */
  private static StoredTensor stack(String name, List<SafetensorsFile> files, Arena arena) {
    long rows = 0;
    long columns = files.getFirst().shape(name).dimension(1);
    for (SafetensorsFile file : files) {
      requireSame(name, columns, file.shape(name).dimension(1), file);
      rows += file.shape(name).dimension(0);
    }
    MemorySegment all = arena.allocate(rows * columns * Float.BYTES, Float.BYTES);
    long at = 0;
    for (SafetensorsFile file : files) {
      MemorySegment part = AdapterFile.factor(file, name, arena);
      MemorySegment.copy(part, 0, all, at, part.byteSize());
      at += part.byteSize();
    }
    return new StoredTensor(name, DataType.F32, Shape.of(rows, columns), all);
  }

  /** [out, rank_1 + rank_2 + ...], each part times its weight and its adapter's scale. */
  private static StoredTensor append(
      String name,
      List<SafetensorsFile> files,
      List<LoraConfig> configs,
      List<Double> weights,
      Arena arena) {
    long rows = files.getFirst().shape(name).dimension(0);
    long columns = 0;
    for (SafetensorsFile file : files) {
      requireSame(name, rows, file.shape(name).dimension(0), file);
      columns += file.shape(name).dimension(1);
    }
    MemorySegment all = arena.allocate(rows * columns * Float.BYTES, Float.BYTES);
    long left = 0;
    for (int i = 0; i < files.size(); i++) {
      MemorySegment part = AdapterFile.factor(files.get(i), name, arena);
      long width = files.get(i).shape(name).dimension(1);
      float factor = (float) (weights.get(i) * configs.get(i).scale());
      for (long row = 0; row < rows; row++) {
        for (long column = 0; column < width; column++) {
          float value = factor * part.getAtIndex(JAVA_FLOAT, row * width + column);
          if (!Float.isFinite(value)) {
            throw new InputException(
                "%s: tensor '%s' is too large for F32 once it is multiplied by %s, its weight and scale; choose a smaller weight"
                    .formatted(files.get(i).path(), name, factor));
          }
          all.setAtIndex(JAVA_FLOAT, row * columns + left + column, value);
        }
      }
      left += width;
    }
    return new StoredTensor(name, DataType.F32, Shape.of(rows, columns), all);
  }

  private static void requireSame(String name, long expected, long found, SafetensorsFile file) {
    if (expected != found) {
      throw new InputException(
          "%s: tensor '%s' has shape %s, which does not fit the other adapters: they belong to another model"
              .formatted(file.path(), name, file.shape(name)));
    }
  }

  private static void writeConfig(Path pattern, Path target, int rank) throws IOException {
    var json = JsonMapper.builder().enable(SerializationFeature.INDENT_OUTPUT).build();
    if (json.readTree(Files.readAllBytes(pattern)) instanceof ObjectNode config) {
      config.put("r", rank);
      config.put("lora_alpha", rank);
      Files.write(target, json.writeValueAsBytes(config));
    }
  }
}
