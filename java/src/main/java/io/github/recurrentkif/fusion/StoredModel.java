package io.github.recurrentkif.fusion;

import io.github.recurrentkif.kernels.StoredWeights;
import io.github.recurrentkif.memory.DataType;
import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.memory.SafetensorsFile;
import io.github.recurrentkif.memory.SafetensorsFolder;
import io.github.recurrentkif.memory.Shape;
import io.github.recurrentkif.memory.TensorLocation;
import io.github.recurrentkif.memory.TensorSource;
import io.github.recurrentkif.model.PeftAdapter;
import java.io.EOFException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Function;

/**
 * Weights as safetensors files hold them: a model folder, an adapter's folder, or one file. They
 * are read by position, not mapped, so that memory does not grow with the model.
 */
public final class StoredModel implements Weights {

  private final Path path;
  private final TensorSource source;
  private final Function<String, TensorLocation> locations;
  private final Map<Path, FileChannel> channels = new HashMap<>();

  private StoredModel(Path path, TensorSource source, Function<String, TensorLocation> locations) {
    this.path = path;
    this.source = source;
    this.locations = locations;
  }

  /**
   * @param path a folder of a model or an adapter, or a file
   * @throws InputException if there are no weights, or a file is damaged
   */
  public static StoredModel open(Path path) {
    try {
      if (Files.isDirectory(path) && !isAdapter(path)) {
        SafetensorsFolder folder = SafetensorsFolder.open(path);
        return new StoredModel(path, folder, folder::location).withChannels();
      }
      Path file = Files.isDirectory(path) ? path.resolve(PeftAdapter.WEIGHTS) : path;
      SafetensorsFile opened = SafetensorsFile.open(file);
      return new StoredModel(path, opened, opened::location).withChannels();
    } catch (IOException e) {
      throw InputException.unreadable(path, e);
    }
  }

  /** Whether a folder holds the weights of an adapter. */
  public static boolean isAdapter(Path folder) {
    return Files.isRegularFile(folder.resolve(PeftAdapter.WEIGHTS));
  }

  private StoredModel withChannels() throws IOException {
    try {
      for (String name : source.names()) {
        Path file = locations.apply(name).file();
        if (!channels.containsKey(file)) {
          channels.put(file, FileChannel.open(file, StandardOpenOption.READ));
        }
      }
      return this;
    } catch (IOException e) {
      close();
      throw e;
    }
  }

  public Path path() {
    return path;
  }

  @Override
  public String place() {
    return path.toString();
  }

  @Override
  public List<String> names() {
    return source.names();
  }

  @Override
  public boolean contains(String name) {
    return source.contains(name);
  }

  @Override
  public DataType dataType(String name) {
    return source.dataType(name);
  }

  @Override
  public Shape shape(String name) {
    return source.shape(name);
  }

  @Override
  public Path file(String tensor) {
    return locations.apply(tensor).file();
  }

  @Override
  public StoredWeights read(String name, long first, long count, MemorySegment buffer)
      throws IOException {
    DataType type = dataType(name);
    long width = type.bits() / Byte.SIZE;
    MemorySegment run = buffer.asSlice(0, count * width);
    readBytes(name, first * width, run);
    return new StoredWeights(type, run);
  }

  /** Bytes of a tensor of any type. */
  void readBytes(String name, long first, MemorySegment target) throws IOException {
    TensorLocation location = locations.apply(name);
    FileChannel channel = Objects.requireNonNull(channels.get(location.file()));
    ByteBuffer buffer = target.asByteBuffer();
    long at = location.offset() + first;
    while (buffer.hasRemaining()) {
      int read = channel.read(buffer, at);
      if (read < 0) {
        throw new EOFException(location.file() + " has become shorter while it was read");
      }
      at += read;
    }
  }

  @Override
  public void close() {
    try {
      for (FileChannel channel : channels.values()) {
        channel.close();
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } finally {
      source.close();
    }
  }
}
