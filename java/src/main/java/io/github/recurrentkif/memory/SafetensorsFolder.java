package io.github.recurrentkif.memory;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.SequencedMap;
import java.util.TreeSet;
import java.util.regex.Pattern;

/**
 * The tensors of a Hugging Face model folder, in one file {@value #SINGLE} or in several that
 * {@value #INDEX} lists. Where both stand, the single file counts, as for Hugging Face's own
 * loader; a tensor that the index does not name is not seen.
 */
public final class SafetensorsFolder implements TensorSource {

  public static final String SINGLE = "model.safetensors";
  public static final String INDEX = "model.safetensors.index.json";

  private static final String WEIGHT_MAP = "weight_map";

  /** Nothing that could lead out of the folder. */
  private static final Pattern PLAIN_FILE_NAME = Pattern.compile("[^/\\\\:\\x00]*[^/\\\\:\\x00.]");

  private final Path folder;
  private final List<SafetensorsFile> files;

  /** Which file holds a tensor, in the order of the files and, within a file, of the bytes. */
  private final SequencedMap<String, SafetensorsFile> holders;

  private SafetensorsFolder(
      Path folder, List<SafetensorsFile> files, SequencedMap<String, SafetensorsFile> holders) {
    this.folder = folder;
    this.files = List.copyOf(files);
    this.holders = holders;
  }

  /**
   * Maps and checks all files of a folder.
   *
   * @throws NoSuchFileException if the folder has neither the single file nor an index
   * @throws MalformedSafetensorsException if a file breaks the format, or the index and its files
   *     disagree
   */
  public static SafetensorsFolder open(Path folder) throws IOException {
    Path single = folder.resolve(SINGLE);
    Path index = folder.resolve(INDEX);
    boolean sharded = !Files.exists(single);
    if (sharded && !Files.exists(index)) {
      throw new NoSuchFileException(
          folder.toString(),
          null,
          "the folder holds neither %s nor %s; save the model as safetensors"
              .formatted(SINGLE, INDEX));
    }
    List<SafetensorsFile> files = new ArrayList<>();
    try {
      if (sharded) {
        return new SafetensorsFolder(folder, files, openShards(index, files));
      }
      SafetensorsFile file = SafetensorsFile.open(single);
      files.add(file);
      SequencedMap<String, SafetensorsFile> holders = new LinkedHashMap<>();
      file.names().forEach(name -> holders.put(name, file));
      return new SafetensorsFolder(folder, files, holders);
    } catch (IOException | RuntimeException | Error e) {
      files.forEach(SafetensorsFile::close);
      throw e;
    }
  }

  private static SequencedMap<String, SafetensorsFile> openShards(
      Path index, List<SafetensorsFile> opened) throws IOException {
    Map<String, String> shardOf = readWeightMap(index);
    Map<String, SafetensorsFile> seen = new HashMap<>();
    SequencedMap<String, SafetensorsFile> holders = new LinkedHashMap<>();
    for (String shard : new TreeSet<>(shardOf.values())) {
      Path path = index.resolveSibling(shard);
      if (!Files.exists(path)) {
        throw new MalformedSafetensorsException(
            index, "it names the file '" + shard + "', which is missing beside it; fetch it");
      }
      SafetensorsFile file = SafetensorsFile.open(path);
      opened.add(file);
      for (String tensor : file.names()) {
        SafetensorsFile other = seen.putIfAbsent(tensor, file);
        if (other != null) {
          throw new MalformedSafetensorsException(
              index,
              "tensor '%s' lies in two of its files, '%s' and '%s'"
                  .formatted(tensor, other.path().getFileName(), shard));
        }
        if (shard.equals(shardOf.get(tensor))) {
          holders.put(tensor, file);
        }
      }
    }
    for (Map.Entry<String, String> entry : shardOf.entrySet()) {
      if (!holders.containsKey(entry.getKey())) {
        throw new MalformedSafetensorsException(
            index,
            "it places tensor '%s' in '%s', which does not hold it"
                .formatted(entry.getKey(), entry.getValue()));
      }
    }
    return holders;
  }

  private static Map<String, String> readWeightMap(Path index) throws IOException {
    Map<String, String> shardOf = new LinkedHashMap<>();
    try (StrictJson reader = new StrictJson(index, Files.readAllBytes(index))) {
      reader.readDocument(
          key -> {
            if (key.equals(WEIGHT_MAP)) {
              shardOf.putAll(reader.readStringMap(WEIGHT_MAP));
            } else {
              reader.skip(); // sizes and notes
            }
          });
    }
    if (shardOf.isEmpty()) {
      throw new MalformedSafetensorsException(
          index, "it has no " + WEIGHT_MAP + ", or an empty one");
    }
    for (String shard : shardOf.values()) {
      if (!PLAIN_FILE_NAME.matcher(shard).matches()) {
        throw new MalformedSafetensorsException(
            index, "it names '" + shard + "', expected the plain name of a file beside it");
      }
    }
    return shardOf;
  }

  /** The files, in the order of their names. */
  public List<Path> paths() {
    return files.stream().map(SafetensorsFile::path).toList();
  }

  @Override
  public List<String> names() {
    return List.copyOf(holders.keySet());
  }

  @Override
  public boolean contains(String name) {
    return holders.containsKey(name);
  }

  @Override
  public StoredTensor tensor(String name) {
    return holder(name).tensor(name);
  }

  @Override
  public MemorySegment float32(String name, Arena arena) {
    return holder(name).float32(name, arena);
  }

  /**
   * Where a tensor's bytes begin, for readers that do not want its pages mapped.
   *
   * @throws NoSuchElementException if there is no tensor of that name
   */
  public TensorLocation location(String name) {
    return holder(name).location(name);
  }

  private SafetensorsFile holder(String name) {
    SafetensorsFile file = holders.get(name);
    if (file == null) {
      throw new NoSuchElementException(
          "no tensor '%s' among the %d of %s".formatted(name, holders.size(), folder));
    }
    return file;
  }

  @Override
  public void close() {
    files.forEach(SafetensorsFile::close);
  }

  @Override
  public String toString() {
    return folder + " with " + holders.size() + " tensors in " + files.size() + " files";
  }
}
