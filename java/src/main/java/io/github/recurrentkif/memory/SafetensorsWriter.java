package io.github.recurrentkif.memory;

import io.github.recurrentkif.memory.SafetensorsOutput.Tensor;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.SequencedMap;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * Writes safetensors files, byte for byte as the format's reference implementation does: tensors of
 * wide data types first, then by name.
 */
public final class SafetensorsWriter {

  /** Bytes handed to the operating system at a time. */
  private static final long CHUNK = 8L << 20;

  private static final Device HOST = new HostMemory();

  private SafetensorsWriter() {}

  /**
   * Writes a file; its folder has to exist. The file appears under its name when it is whole. Bytes
   * outside the Java heap are written from where they lie.
   *
   * @param metadata written in its order; none at all if empty
   * @throws IllegalArgumentException if a name occurs twice, is {@code __metadata__} or cannot be
   *     encoded in UTF-8
   * @throws IOException that names the file, if it cannot be written; nothing is left behind
   */
  public static void write(
      Path file, Collection<StoredTensor> tensors, SequencedMap<String, String> metadata)
      throws IOException {
    List<Block> blocks = new ArrayList<>(tensors.size());
    for (StoredTensor tensor : tensors) {
      blocks.add(new Block(tensor.name(), tensor.dataType(), tensor.shape(), HOST, tensor.bytes()));
    }
    writeBlocks(file, blocks, metadata);
  }

  /** A tensor whose bytes lie on any device. */
  record Block(String name, DataType dataType, Shape shape, Device device, MemorySegment segment) {

    /** Whether a file cannot be written from these bytes where they lie. */
    boolean isStaged() {
      return !(device instanceof HostMemory) || !segment.isNative();
    }
  }

  static void writeBlocks(
      Path file, Collection<Block> blocks, SequencedMap<String, String> metadata)
      throws IOException {
    SafetensorsHeader layout =
        SafetensorsHeader.layOut(
            blocks.stream().map(b -> new Tensor(b.name(), b.dataType(), b.shape())).toList(),
            metadata);
    List<Block> sorted = inOrder(layout, blocks, Block::name);
    ByteBuffer header = layout.encode();
    long staged =
        sorted.stream()
            .filter(Block::isStaged)
            .mapToLong(block -> block.segment().byteSize())
            .max()
            .orElse(0);
    AtomicFile.write(
        file,
        channel -> {
          writeFully(channel, header);
          try (Arena arena = Arena.ofConfined()) {
            MemorySegment staging = arena.allocate(Math.min(staged, CHUNK));
            for (Block block : sorted) {
              writeBlock(channel, block, staging);
            }
          }
        });
  }

  /**
   * Writes floating point tensors of any type as float32, a chunk at a time: nothing is held that
   * grows with the tensors.
   *
   * @throws IOException that names the file, if it cannot be written; nothing is left behind
   */
  static void writeFloat32(Path file, Collection<StoredTensor> tensors) throws IOException {
    SafetensorsHeader layout =
        SafetensorsHeader.layOut(
            tensors.stream().map(t -> new Tensor(t.name(), DataType.F32, t.shape())).toList(),
            new LinkedHashMap<>());
    List<StoredTensor> sorted = inOrder(layout, tensors, StoredTensor::name);
    ByteBuffer header = layout.encode();
    AtomicFile.write(
        file,
        channel -> {
          writeFully(channel, header);
          try (Arena arena = Arena.ofConfined()) {
            MemorySegment staging = arena.allocate(CHUNK, Float.BYTES);
            for (StoredTensor tensor : sorted) {
              writeFloat32(channel, tensor, staging);
            }
          }
        });
  }

  private static void writeFloat32(FileChannel channel, StoredTensor tensor, MemorySegment staging)
      throws IOException {
    long elements = tensor.shape().elements();
    long width = tensor.bytes().byteSize() / Math.max(elements, 1);
    long step = CHUNK / Float.BYTES;
    for (long first = 0; first < elements; first += step) {
      long count = Math.min(step, elements - first);
      MemorySegment stored = tensor.bytes().asSlice(first * width, count * width);
      MemorySegment converted = staging.asSlice(0, count * Float.BYTES);
      writeFully(
          channel, FloatConversion.toFloat32(tensor.dataType(), stored, converted).asByteBuffer());
    }
  }

  private static <T> List<T> inOrder(
      SafetensorsHeader layout, Collection<T> tensors, Function<T, String> name) {
    Map<String, T> byName = tensors.stream().collect(Collectors.toMap(name, Function.identity()));
    return layout.tensors().stream()
        .map(entry -> Objects.requireNonNull(byName.get(entry.name())))
        .toList();
  }

  private static void writeBlock(FileChannel channel, Block block, MemorySegment staging)
      throws IOException {
    long size = block.segment().byteSize();
    for (long offset = 0; offset < size; offset += CHUNK) {
      MemorySegment chunk = block.segment().asSlice(offset, Math.min(CHUNK, size - offset));
      if (block.isStaged()) {
        MemorySegment copy = staging.asSlice(0, chunk.byteSize());
        block.device().download(chunk, copy);
        chunk = copy;
      }
      writeFully(channel, chunk.asByteBuffer());
    }
  }

  private static void writeFully(FileChannel channel, ByteBuffer bytes) throws IOException {
    while (bytes.hasRemaining()) {
      channel.write(bytes);
    }
  }
}
