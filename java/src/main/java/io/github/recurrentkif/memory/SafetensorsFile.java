package io.github.recurrentkif.memory;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.SequencedMap;

/**
 * A safetensors file, mapped into memory as a whole: reading a tensor costs nothing until its bytes
 * are touched. Any number of threads may read; the segments given out die with {@link #close}.
 *
 * <p>The file is checked in full when it is opened: every byte behind the header belongs to exactly
 * one tensor, and every tensor has the bytes its shape asks for. Whoever shortens the file while it
 * is open makes reading fail with {@link InternalError}; replacing it by a rename does no harm.
 */
public final class SafetensorsFile implements TensorSource {

  private static final ValueLayout.OfLong LENGTH =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final Path file;
  private final Arena arena;
  private final SequencedMap<String, String> metadata;
  private final SequencedMap<String, StoredTensor> tensors;
  private final long address;

  private SafetensorsFile(Path file, Arena arena, MemorySegment bytes) throws IOException {
    this.file = file;
    this.arena = arena;
    this.address = bytes.address();
    long size = bytes.byteSize();
    if (size < SafetensorsHeader.LENGTH_BYTES) {
      throw new MalformedSafetensorsException(
          file,
          "it holds %d bytes, less than the %d of a header's length; it may be cut short: fetch it again"
              .formatted(size, SafetensorsHeader.LENGTH_BYTES));
    }
    long length = bytes.get(LENGTH, 0);
    if (length < 0 || length > SafetensorsHeader.LARGEST) {
      throw new MalformedSafetensorsException(
          file,
          "its header claims %s bytes, the format allows %d; it may be no safetensors file"
              .formatted(Long.toUnsignedString(length), SafetensorsHeader.LARGEST));
    }
    long start = SafetensorsHeader.LENGTH_BYTES + length;
    if (start > size) {
      throw new MalformedSafetensorsException(
          file,
          "its header claims %d bytes, the file holds %d; it may be cut short: fetch it again"
              .formatted(length, size));
    }
    MemorySegment data = bytes.asSlice(start);
    byte[] json =
        bytes.asSlice(SafetensorsHeader.LENGTH_BYTES, length).toArray(ValueLayout.JAVA_BYTE);
    SafetensorsHeader header = SafetensorsHeader.parse(file, json, data.byteSize());
    this.metadata = header.metadata();
    this.tensors = new LinkedHashMap<>();
    for (SafetensorsHeader.Entry entry : header.tensors()) {
      tensors.put(
          entry.name(),
          new StoredTensor(
              entry.name(),
              entry.dataType(),
              entry.shape(),
              data.asSlice(entry.begin(), entry.end() - entry.begin())));
    }
  }

  /**
   * Maps and checks a file.
   *
   * @throws NoSuchFileException if there is no such file
   * @throws MalformedSafetensorsException if the file breaks the format
   */
  public static SafetensorsFile open(Path file) throws IOException {
    if (Files.isDirectory(file)) {
      throw new IOException(file + " is a folder, expected a safetensors file");
    }
    if (Files.notExists(file)) {
      throw new NoSuchFileException(file.toString(), null, "no such safetensors file");
    }
    Arena arena = Arena.ofShared();
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
      return new SafetensorsFile(
          file, arena, channel.map(MapMode.READ_ONLY, 0, channel.size(), arena));
    } catch (IOException | RuntimeException | Error e) {
      arena.close();
      throw e;
    }
  }

  public Path path() {
    return file;
  }

  /** The texts of the header's {@code __metadata__}, in the order of the file; often empty. */
  public SequencedMap<String, String> metadata() {
    return metadata;
  }

  @Override
  public List<String> names() {
    return List.copyOf(tensors.keySet());
  }

  /** All tensors, in the order of their bytes. */
  public List<StoredTensor> tensors() {
    return List.copyOf(tensors.values());
  }

  @Override
  public boolean contains(String name) {
    return tensors.containsKey(name);
  }

  @Override
  public StoredTensor tensor(String name) {
    StoredTensor tensor = tensors.get(name);
    if (tensor == null) {
      throw new NoSuchElementException(
          "no tensor '%s' among the %d of %s".formatted(name, tensors.size(), file));
    }
    return tensor;
  }

  /**
   * Where a tensor's bytes begin, for readers that do not want its pages mapped.
   *
   * @throws NoSuchElementException if there is no tensor of that name
   */
  public TensorLocation location(String name) {
    return new TensorLocation(file, tensor(name).bytes().address() - address);
  }

  @Override
  public MemorySegment float32(String name, Arena target) {
    StoredTensor tensor = tensor(name);
    if (isFloat32InPlace(name)) {
      return tensor.bytes();
    }
    if (!tensor.dataType().readsAsFloat32()) {
      throw new IllegalArgumentException(
          "tensor '%s' of %s holds %s, expected F32, F16, BF16 or F64"
              .formatted(name, file, tensor.dataType()));
    }
    return FloatConversion.toFloat32(
        tensor.dataType(),
        tensor.bytes(),
        new HostMemory().allocate(DataType.F32.bytes(tensor.shape()), target));
  }

  @Override
  public void close() {
    arena.close();
  }

  @Override
  public String toString() {
    return file + " with " + tensors.size() + " tensors";
  }
}
