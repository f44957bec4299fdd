package io.github.recurrentkif.memory;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * A device whose memory holds every byte inverted, so that whoever reads or writes it directly
 * instead of by upload and download gets other bytes.
 */
final class InvertingDevice implements Device {

  @Override
  public String name() {
    return "inverting";
  }

  @Override
  public MemorySegment allocate(long bytes, Arena arena) {
    return arena.allocate(bytes, 64).fill((byte) ~0);
  }

  @Override
  public void upload(MemorySegment host, MemorySegment device) {
    invert(host, device);
  }

  @Override
  public void copy(MemorySegment source, MemorySegment target) {
    target.copyFrom(source);
  }

  @Override
  public void download(MemorySegment device, MemorySegment host) {
    invert(device, host);
  }

  private static void invert(MemorySegment source, MemorySegment target) {
    if (source.byteSize() != target.byteSize()) {
      throw new IllegalArgumentException(source.byteSize() + " != " + target.byteSize());
    }
    byte[] bytes = source.toArray(ValueLayout.JAVA_BYTE);
    for (int i = 0; i < bytes.length; i++) {
      bytes[i] = (byte) ~bytes[i];
    }
    target.copyFrom(MemorySegment.ofArray(bytes));
  }
}
