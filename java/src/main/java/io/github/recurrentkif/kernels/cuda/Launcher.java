package io.github.recurrentkif.kernels.cuda;

import java.lang.foreign.MemorySegment;

/**
 * What kernels ask of the thing that runs them: memory, copies and launches, on one queue.
 * Addresses are those of the device; the host must not follow them. {@link DriverLauncher} is a
 * GPU, {@link EmulatorLauncher} the same source on the processor.
 */
public interface Launcher extends AutoCloseable {

  /** Compiled code. */
  interface Module {

    /**
     * @throws IllegalArgumentException if the module has no kernel of that name
     */
    Kernel kernel(String name);
  }

  /** One entry of a module; only the launcher that made it can launch it. */
  interface Kernel {
    String name();
  }

  /** For people: which device, which driver. */
  String description();

  /** As a user names it: {@code cuda:0}. */
  String deviceName();

  /** The address of the queue, a {@code CUstream} on a GPU. */
  long queue();

  /** Ten times the major version of what the device can do, and the minor one: 75, 90. */
  int computeCapability();

  /** How many blocks can be at work in the fullest sense: the device's multiprocessors. */
  int multiprocessors();

  /**
   * Loads PTX for as long as this launcher is open.
   *
   * @param image without the NUL at its end
   */
  Module load(byte[] image);

  /** Memory with any content, on a multiple of 256 bytes. */
  long allocate(long bytes);

  void free(long address);

  /** Queues a copy; the host memory may change again when this returns. */
  void upload(MemorySegment host, long device);

  /** Waits for all work before, and until the host memory is written. */
  void download(long device, MemorySegment host);

  /** Queues a copy within the device. */
  void copy(long source, long target, long bytes);

  /** Queues the filling with zero bytes. */
  void clear(long address, long bytes);

  /**
   * Queues a grid of one dimension.
   *
   * @param arguments an array of addresses, one for each argument, off the heap; both may change
   *     when this returns
   */
  void launch(Kernel kernel, int blocks, int threads, int sharedBytes, MemorySegment arguments);

  /**
   * Queues a grid of one dimension whose blocks run all at once and may wait for each other.
   *
   * @param blocks at most {@link #blocksAtOnce}
   */
  void launchTogether(Kernel kernel, int blocks, int threads, MemorySegment arguments);

  /** How many blocks of a kernel the device can run at once. */
  int blocksAtOnce(Kernel kernel, int threads);

  /** Waits for all work before. */
  void synchronize();

  @Override
  void close();
}
