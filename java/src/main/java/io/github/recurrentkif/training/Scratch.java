package io.github.recurrentkif.training;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.HashMap;
import java.util.Map;
import java.util.Objects;

/**
 * Host buffers by name that are used again and again and grow when a batch is larger than any
 * before.
 */
final class Scratch implements AutoCloseable {

  private static final long CACHE_LINE = 64;

  private record Buffer(Arena arena, MemorySegment memory) {}

  private final Map<String, Buffer> buffers = new HashMap<>();

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
      buffer = new Buffer(arena, arena.allocate(capacity, CACHE_LINE));
      buffers.put(name, buffer);
    }
    return buffer.memory().asSlice(0, bytes);
  }

  /** Copies one of the equal parts that a buffer begins with over another. */
  void move(String name, long partBytes, int from, int to) {
    MemorySegment memory = Objects.requireNonNull(buffers.get(name), name).memory();
    MemorySegment.copy(memory, from * partBytes, memory, to * partBytes, partBytes);
  }

  MemorySegment longs(String name, long[] values) {
    MemorySegment segment = buffer(name, 8L * values.length);
    segment.copyFrom(MemorySegment.ofArray(values));
    return segment;
  }

  MemorySegment floats(String name, float[] values) {
    MemorySegment segment = buffer(name, 4L * values.length);
    segment.copyFrom(MemorySegment.ofArray(values));
    return segment;
  }

  @Override
  public void close() {
    buffers.values().forEach(buffer -> buffer.arena().close());
    buffers.clear();
  }
}
