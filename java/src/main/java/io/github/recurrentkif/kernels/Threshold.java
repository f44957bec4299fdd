package io.github.recurrentkif.kernels;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import io.github.recurrentkif.memory.Device;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * One float that stays on the device: the threshold kernel writes it, the merge kernel reads it.
 */
public final class Threshold implements AutoCloseable {

  private final Device device;
  private final Arena arena = Arena.ofShared();
  private final MemorySegment segment;

  public Threshold(Device device) {
    this.device = device;
    this.segment = device.allocate(JAVA_FLOAT.byteSize(), arena);
  }

  public Device device() {
    return device;
  }

  public MemorySegment segment() {
    return segment;
  }

  /** Fetches the value; on a device with a queue, this waits for all work before. */
  public float value() {
    float[] value = new float[1];
    device.download(segment, MemorySegment.ofArray(value));
    return value[0];
  }

  @Override
  public void close() {
    arena.close();
  }
}
