package io.github.recurrentkif.kernels.cuda;

import io.github.recurrentkif.memory.Device;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** The memory of a GPU, on the queue of its kernels. */
public final class CudaDevice implements Device {

  private final Launcher launcher;

  public CudaDevice(Launcher launcher) {
    this.launcher = launcher;
  }

  @Override
  public String name() {
    return launcher.deviceName();
  }

  @Override
  public MemorySegment allocate(long bytes, Arena arena) {
    // A driver refuses to allocate nothing, and an empty vector needs an address too.
    long address = launcher.allocate(Math.max(bytes, 1));
    MemorySegment segment =
        MemorySegment.ofAddress(address)
            .reinterpret(bytes, arena, ignored -> launcher.free(address));
    if (bytes > 0) {
      launcher.clear(address, bytes);
    }
    return segment;
  }

  @Override
  public void upload(MemorySegment host, MemorySegment device) {
    requireSame(host, device);
    if (host.byteSize() > 0) {
      launcher.upload(host, device.address());
    }
  }

  @Override
  public void copy(MemorySegment source, MemorySegment target) {
    requireSame(source, target);
    if (source.byteSize() > 0) {
      launcher.copy(source.address(), target.address(), source.byteSize());
    }
  }

  @Override
  public void download(MemorySegment device, MemorySegment host) {
    requireSame(host, device);
    if (host.byteSize() > 0) {
      launcher.download(device.address(), host);
    }
  }

  private static void requireSame(MemorySegment one, MemorySegment other) {
    if (one.byteSize() != other.byteSize()) {
      throw new IllegalArgumentException(
          "a copy between segments of %d and of %d bytes"
              .formatted(one.byteSize(), other.byteSize()));
    }
  }
}
