package io.github.recurrentkif.kernels;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.github.recurrentkif.memory.Device;
import io.github.recurrentkif.memory.ParameterLayout;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Optional;
import java.util.stream.LongStream;

/**
 * What the scores of one side of a merge are held against, for all tensors together or for each
 * alone. It stays on the device: {@link Kernels#threshold} or {@link Kernels#range} writes it,
 * {@link Kernels#merge} reads it.
 *
 * <p>In memory: the low {@link Bounds} of all parts, float32, then their high ones. A part is a
 * tensor, or all of them.
 */
public final class Threshold implements AutoCloseable {

  private final Device device;
  private final Arena arena = Arena.ofShared();
  private final Optional<ParameterLayout> layout;
  private final int parts;
  private final MemorySegment segment;
  private final MemorySegment spans;

  /** One for all tensors together. */
  public Threshold(Device device) {
    this(device, Optional.empty());
  }

  /** One for each tensor of a layout; for a layout without tensors, one that nothing reads. */
  public static Threshold ofEachTensor(ParameterLayout layout, Device device) {
    return new Threshold(device, Optional.of(layout));
  }

  private Threshold(Device device, Optional<ParameterLayout> layout) {
    this.device = device;
    this.layout = layout.filter(known -> !known.tensors().isEmpty());
    this.parts = this.layout.map(known -> known.tensors().size()).orElse(1);
    this.segment = device.allocate(2L * parts * JAVA_FLOAT.byteSize(), arena);
    this.spans = this.layout.map(this::upload).orElse(MemorySegment.NULL);
  }

  private MemorySegment upload(ParameterLayout known) {
    long[] ends =
        known.tensors().stream()
            .flatMapToLong(t -> LongStream.of(t.offset(), t.offset() + t.elements()))
            .toArray();
    MemorySegment table = device.allocate(ends.length * JAVA_LONG.byteSize(), arena);
    device.upload(MemorySegment.ofArray(ends), table);
    return table;
  }

  public Device device() {
    return device;
  }

  /** The layout that it has a part for each tensor of; empty if it is one for all. */
  public Optional<ParameterLayout> layout() {
    return layout;
  }

  /** Tensors, or 1. */
  public int parts() {
    return parts;
  }

  /** Low bounds, then high ones. */
  public MemorySegment segment() {
    return segment;
  }

  /**
   * Where the tensors begin and end in the arena, as pairs of int64 on the device; {@code NULL} if
   * it is one for all.
   */
  public MemorySegment spans() {
    return spans;
  }

  /** Where the low bound of a tensor lies: its own, or that of all together. */
  public MemorySegment low(int tensor) {
    long bytes = JAVA_FLOAT.byteSize();
    return segment.asSlice(layout.isPresent() ? tensor * bytes : 0, bytes);
  }

  /** Fetches {@link Bounds#low} of the first part; see {@link #bounds}. */
  public float value() {
    return bounds(0).low();
  }

  /** Fetches one part; on a device with a queue, this waits for all work before. */
  public Bounds bounds(int part) {
    float[] all = new float[2 * parts];
    device.download(segment, MemorySegment.ofArray(all));
    return new Bounds(all[part], all[parts + part]);
  }

  @Override
  public void close() {
    arena.close();
  }
}
