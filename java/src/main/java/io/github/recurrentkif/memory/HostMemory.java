package io.github.recurrentkif.memory;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** The main memory of this machine. */
public final class HostMemory implements Device {

  private static final long CACHE_LINE = 64;

  @Override
  public String name() {
    return "cpu";
  }

  @Override
  public MemorySegment allocate(long bytes, Arena arena) {
    return arena.allocate(bytes, CACHE_LINE);
  }

  @Override
  public void upload(MemorySegment host, MemorySegment device) {
    device.copyFrom(host);
  }

  @Override
  public void copy(MemorySegment source, MemorySegment target) {
    target.copyFrom(source);
  }

  @Override
  public void download(MemorySegment device, MemorySegment host) {
    host.copyFrom(device);
  }
}
