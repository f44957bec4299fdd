package io.github.recurrentkif.training;

import io.github.recurrentkif.memory.Device;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.HashMap;
import java.util.Map;
import java.util.Objects;

/**
 * Buffers on a device, by name, that are used again and again and grow when a batch is larger than
 * any before.
 */
final class Scratch implements AutoCloseable {

  private static final long CACHE_LINE = 64;

  private record Buffer(Arena arena, MemorySegment memory) {}

  private final Device device;
  private final Map<String, Buffer> buffers = new HashMap<>();

  Scratch(Device device) {
    this.device = device;
  }

  /**
   * The first {@code bytes} of the buffer of that name. Where it has to grow, what it held before
   * is lost.
   */
  MemorySegment buffer(String name, long bytes) {
    Buffer buffer = buffers.get(name);
    if (buffer == null || buffer.memory().byteSize() < bytes) {
      if (buffer != null) {
        buffer.arena().close();
      }
      Arena arena = Arena.ofShared();
      long capacity = bytes + bytes / 4 + CACHE_LINE;
      buffer = new Buffer(arena, device.allocate(capacity, arena));
      buffers.put(name, buffer);
    }
    return buffer.memory().asSlice(0, bytes);
  }

  /** Copies one of the equal parts that a buffer begins with over another. */
  void move(String name, long partBytes, int from, int to) {
    MemorySegment memory = Objects.requireNonNull(buffers.get(name), name).memory();
    device.copy(
        memory.asSlice(from * partBytes, partBytes), memory.asSlice(to * partBytes, partBytes));
  }

  MemorySegment longs(String name, long[] values) {
    return filled(name, MemorySegment.ofArray(values));
  }

  MemorySegment floats(String name, float[] values) {
    return filled(name, MemorySegment.ofArray(values));
  }

  private MemorySegment filled(String name, MemorySegment values) {
    MemorySegment segment = buffer(name, values.byteSize());
    device.upload(values, segment);
    return segment;
  }

  /** Waits for the content of a buffer of this device. */
  long[] longs(MemorySegment buffer) {
    long[] values = new long[Math.toIntExact(buffer.byteSize() / Long.BYTES)];
    device.download(buffer, MemorySegment.ofArray(values));
    return values;
  }

  /** Waits for the content of a buffer of this device. */
  float[] floats(MemorySegment buffer) {
    float[] values = new float[Math.toIntExact(buffer.byteSize() / Float.BYTES)];
    device.download(buffer, MemorySegment.ofArray(values));
    return values;
  }

  @Override
  public void close() {
    buffers.values().forEach(buffer -> buffer.arena().close());
    buffers.clear();
  }
}
