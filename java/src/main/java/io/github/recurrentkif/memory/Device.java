package io.github.recurrentkif.memory;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * A place where vectors live and kernels run.
 *
 * <p>The segments of a device other than {@link HostMemory} carry device addresses: they may be
 * sliced and handed to that device's kernels and to ONNX Runtime, never read or written from Java.
 */
public interface Device {

  /** As a user names it: {@code cpu}, {@code cuda:0}. */
  String name();

  /**
   * Allocates zeroed memory on this device, aligned to 64 bytes at least, which lives as long as
   * the arena.
   */
  MemorySegment allocate(long bytes, Arena arena);

  /**
   * Copies from the host to this device, in order with its work; both segments have the same size.
   * The host's memory may change again when this returns.
   */
  void upload(MemorySegment host, MemorySegment device);

  /** Copies within this device, in order with its work; both segments have the same size. */
  void copy(MemorySegment source, MemorySegment target);

  /**
   * Copies from this device to the host, after all work queued before; both segments have the same
   * size.
   */
  void download(MemorySegment device, MemorySegment host);
}
