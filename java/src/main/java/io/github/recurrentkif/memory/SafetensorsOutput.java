package io.github.recurrentkif.memory;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Collection;
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

  private SafetensorsOutput(FileChannel channel, SafetensorsHeader header, long start) {
    this.channel = channel;
    List<Tensor> inOrder = new ArrayList<>();
    for (SafetensorsHeader.Entry entry : header.tensors()) {
      inOrder.add(new Tensor(entry.name(), entry.dataType(), entry.shape()));
      offsets.put(entry.name(), start + entry.begin());
    }
    this.tensors = List.copyOf(inOrder);
  }

  /**
   * Creates the file and writes its header.
   *
   * @throws IOException if the file exists or cannot be written
   */
  public static SafetensorsOutput create(
      Path file, Collection<Tensor> tensors, SequencedMap<String, String> metadata)
      throws IOException {
    SafetensorsHeader header = SafetensorsHeader.layOut(tensors, metadata);
    ByteBuffer encoded = header.encode();
    long start = encoded.remaining();
    FileChannel channel =
        FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
    try {
      writeFully(channel, encoded, 0);
      return new SafetensorsOutput(channel, header, start);
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
