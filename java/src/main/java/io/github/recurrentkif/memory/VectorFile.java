package io.github.recurrentkif.memory;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.SequencedMap;

/**
 * Vectors over one layout in a safetensors file, each as one flat F32 tensor of shape [length],
 * padding included: what a checkpoint consists of. The file's metadata holds a fingerprint of the
 * layout under {@value #LAYOUT}, so that no vector is read into a layout of other tensors.
 */
public final class VectorFile implements AutoCloseable {

  /** The metadata key of the layout's fingerprint: SHA-256 over all names, shapes and offsets. */
  public static final String LAYOUT = "parameter_layout";

  private final SafetensorsFile file;

  private VectorFile(SafetensorsFile file) {
    this.file = file;
  }

  /**
   * Writes vectors, wherever they lie, as a file that appears when it is whole.
   *
   * @param vectors at least one, by name
   * @param metadata kept beside the fingerprint of the layout
   * @throws IllegalArgumentException if there is no vector, if their layouts differ, or if the
   *     metadata uses {@value #LAYOUT} itself
   * @throws IOException that names the file, if it cannot be written; nothing is left behind
   */
  public static void write(
      Path file,
      SequencedMap<String, ParameterVector> vectors,
      SequencedMap<String, String> metadata)
      throws IOException {
    if (vectors.isEmpty()) {
      throw new IllegalArgumentException("no vector to write to " + file);
    }
    ParameterLayout layout = vectors.firstEntry().getValue().layout();
    List<SafetensorsWriter.Block> blocks = new ArrayList<>(vectors.size());
    vectors.forEach(
        (name, vector) -> {
          if (!vector.layout().equals(layout)) {
            throw new IllegalArgumentException(
                "vector '%s' has a layout of %s, vector '%s' one of %s"
                    .formatted(name, vector.layout(), vectors.firstEntry().getKey(), layout));
          }
          blocks.add(
              new SafetensorsWriter.Block(
                  name,
                  DataType.F32,
                  Shape.of(layout.length()),
                  vector.device(),
                  vector.segment()));
        });
    SequencedMap<String, String> all = new LinkedHashMap<>(metadata);
    if (all.put(LAYOUT, fingerprint(layout)) != null) {
      throw new IllegalArgumentException("the metadata key '" + LAYOUT + "' is taken");
    }
    SafetensorsWriter.writeBlocks(file, blocks, all);
  }

  /**
   * Maps and checks a file.
   *
   * @throws MalformedSafetensorsException if the file breaks the format
   */
  public static VectorFile open(Path file) throws IOException {
    return new VectorFile(SafetensorsFile.open(file));
  }

  /** The names of the vectors. */
  public List<String> names() {
    return file.names();
  }

  /** What was written as metadata, and the fingerprint of the layout. */
  public SequencedMap<String, String> metadata() {
    return file.metadata();
  }

  /**
   * Overwrites a vector, on whatever device it lies, with one of the file.
   *
   * @throws NoSuchElementException if the file has no vector of that name
   * @throws IOException that names the file, if what it holds is not a vector of the target's
   *     layout; the target is untouched
   */
  public void read(String name, ParameterVector target) throws IOException {
    ParameterLayout layout = target.layout();
    StoredTensor stored = file.tensor(name);
    Shape expected = Shape.of(layout.length());
    if (stored.dataType() != DataType.F32 || !stored.shape().equals(expected)) {
      throw new IOException(
          "%s: '%s' is %s %s, expected F32 %s for a layout of %s"
              .formatted(file.path(), name, stored.dataType(), stored.shape(), expected, layout));
    }
    String found = metadata().get(LAYOUT);
    if (found != null && !found.equals(fingerprint(layout))) {
      throw new IOException(
          "%s: its vectors belong to other tensors than this layout of %s; use their own model"
              .formatted(file.path(), layout));
    }
    requireZeroPadding(name, stored.bytes(), layout);
    try (Arena arena = Arena.ofConfined()) {
      target.device().upload(file.float32(name, arena), target.segment());
    }
  }

  private void requireZeroPadding(String name, MemorySegment values, ParameterLayout layout)
      throws IOException {
    long position = 0;
    for (ParameterLayout.Tensor tensor : layout.tensors()) {
      requireZero(name, values, position, tensor.offset());
      position = tensor.offset() + tensor.elements();
    }
    requireZero(name, values, position, layout.length());
  }

  private void requireZero(String name, MemorySegment values, long from, long to)
      throws IOException {
    for (long i = from; i < to; i++) {
      float value = values.get(JAVA_FLOAT_UNALIGNED, i * JAVA_FLOAT.byteSize());
      if (value != 0) {
        throw new IOException(
            "%s: element %d of '%s' belongs to no tensor and has to be 0, found %s"
                .formatted(file.path(), i, name, value));
      }
    }
  }

  private static String fingerprint(ParameterLayout layout) {
    MessageDigest digest;
    try {
      digest = MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every Java platform has SHA-256", e);
    }
    for (ParameterLayout.Tensor tensor : layout.tensors()) {
      String line = "%d %s %s\n".formatted(tensor.offset(), tensor.shape(), tensor.name());
      digest.update(line.getBytes(StandardCharsets.UTF_8));
    }
    return HexFormat.of().formatHex(digest.digest());
  }

  @Override
  public void close() {
    file.close();
  }
}
