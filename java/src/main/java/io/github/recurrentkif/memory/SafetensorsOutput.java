package io.github.recurrentkif.memory;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.SequencedMap;

/**
 * A safetensors file that is written piece by piece, in any order and by any number of threads; the
 * bytes are those that {@link SafetensorsWriter} would write. It is whole when every byte of every
 * tensor has been written; until then it must not stand under its final name.
 */
public final class SafetensorsOutput implements AutoCloseable {

  /** A tensor to be written. */
  public record Tensor(String name, DataType dataType, Shape shape) {}

  private final FileChannel channel;
  private final List<Tensor> tensors;
  private final Map<String, Long> offsets = new LinkedHashMap<>();

  private SafetensorsOutput(
      FileChannel channel, List<Tensor> tensors, SafetensorsHeader header, long start) {
    this.channel = channel;
    this.tensors = List.copyOf(tensors);
    for (SafetensorsHeader.Entry entry : header.tensors()) {
      offsets.put(entry.name(), start + entry.begin());
    }
  }

  /**
   * Creates the file and writes its header.
   *
   * @throws IOException if the file exists or cannot be written
   */
  public static SafetensorsOutput create(
      Path file, Collection<Tensor> tensors, SequencedMap<String, String> metadata)
      throws IOException {
    List<Tensor> sorted = new ArrayList<>(tensors);
    sorted.sort(
        Comparator.comparing(Tensor::dataType, Comparator.reverseOrder())
            .thenComparing(Tensor::name, SafetensorsHeader.BY_CODE_POINTS));
    List<SafetensorsHeader.Entry> entries = new ArrayList<>(sorted.size());
    long offset = 0;
    for (Tensor tensor : sorted) {
      long end = Math.addExact(offset, tensor.dataType().bytes(tensor.shape()));
      entries.add(
          new SafetensorsHeader.Entry(
              tensor.name(), tensor.dataType(), tensor.shape(), offset, end));
      offset = end;
    }
    SafetensorsHeader header = new SafetensorsHeader(metadata, entries);
    ByteBuffer encoded = header.encode();
    long start = encoded.remaining();
    FileChannel channel =
        FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
    try {
      writeFully(channel, encoded, 0);
      return new SafetensorsOutput(channel, sorted, header, start);
    } catch (IOException | RuntimeException e) {
      channel.close();
      throw e;
    }
  }

  /** The tensors in the order of their bytes. */
  public List<Tensor> tensors() {
    return tensors;
  }

  /**
   * Writes some bytes of a tensor.
   *
   * @param first the number of the first of these bytes in the tensor
   * @throws NoSuchElementException if there is no tensor of that name
   */
  public void write(String tensor, long first, MemorySegment bytes) throws IOException {
    Long offset = offsets.get(tensor);
    if (offset == null) {
      throw new NoSuchElementException("no tensor '" + tensor + "' is to be written");
    }
    writeFully(channel, bytes.asByteBuffer(), offset + first);
  }

  private static void writeFully(FileChannel channel, ByteBuffer bytes, long position)
      throws IOException {
    long at = position;
    while (bytes.hasRemaining()) {
      at += channel.write(bytes, at);
    }
  }

  /** Returns when all that was written would survive a power failure. */
  public void force() throws IOException {
    channel.force(true);
  }

  @Override
  public void close() throws IOException {
    channel.close();
  }
}
