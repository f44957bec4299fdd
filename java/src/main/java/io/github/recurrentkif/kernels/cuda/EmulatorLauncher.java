package io.github.recurrentkif.kernels.cuda;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.nio.file.Path;

/**
 * Runs the source of the kernels on the processor, to check them where there is no GPU: what {@code
 * cuda-kernels/emulator/build.sh} compiles. Device memory lies where the host may not reach, and
 * what a GPU leaves undefined is an error. Slow.
 */
public final class EmulatorLauncher implements Launcher {

  private static final int TO_DEVICE = 0;
  private static final int TO_HOST = 1;
  private static final int WITHIN_DEVICE = 2;
  private static final int ZEROES = 3;

  private static final MethodHandle ERROR = handle(FunctionDescriptor.of(ADDRESS));
  private static final MethodHandle ORDER = handle(FunctionDescriptor.ofVoid(JAVA_LONG));
  private static final MethodHandle HAS_KERNEL = handle(FunctionDescriptor.of(JAVA_INT, ADDRESS));
  private static final MethodHandle ALLOCATE = handle(FunctionDescriptor.of(JAVA_LONG, JAVA_LONG));
  private static final MethodHandle FREE = handle(FunctionDescriptor.of(JAVA_INT, JAVA_LONG));
  private static final MethodHandle COPY =
      handle(FunctionDescriptor.of(JAVA_INT, JAVA_INT, ADDRESS, ADDRESS, JAVA_LONG));
  private static final MethodHandle LAUNCH =
      handle(
          FunctionDescriptor.of(
              JAVA_INT, ADDRESS, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT,
              ADDRESS));

  private record NamedKernel(String name, MemorySegment text) implements Kernel {}

  private final MemorySegment error;
  private final MemorySegment order;
  private final MemorySegment hasKernel;
  private final MemorySegment allocate;
  private final MemorySegment free;
  private final MemorySegment copy;
  private final MemorySegment launch;
  private final MemorySegment launchTogether;
  private final int multiprocessors;

  /**
   * Loads an emulator for as long as this process lives.
   *
   * @param multiprocessors to pretend
   * @throws IllegalArgumentException if the file is no such library
   */
  public EmulatorLauncher(Path library, int multiprocessors) {
    SymbolLookup symbols = SymbolLookup.libraryLookup(library, Arena.global());
    error = symbols.findOrThrow("emulator_error");
    order = symbols.findOrThrow("emulator_order");
    hasKernel = symbols.findOrThrow("emulator_has_kernel");
    allocate = symbols.findOrThrow("emulator_allocate");
    free = symbols.findOrThrow("emulator_free");
    copy = symbols.findOrThrow("emulator_copy");
    launch = symbols.findOrThrow("emulator_launch");
    launchTogether = symbols.findOrThrow("emulator_launch_cooperative");
    this.multiprocessors = multiprocessors;
  }

  /** Lets threads and blocks take turns at random from now on, or in order for seed 0. */
  public void randomOrder(long seed) {
    try {
      ORDER.invokeExact(order, seed);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  @Override
  public String description() {
    return "CUDA source on the processor, one thread after another";
  }

  @Override
  public String deviceName() {
    return "cuda-emulator";
  }

  /** There is none. */
  @Override
  public long queue() {
    return 0;
  }

  @Override
  public int computeCapability() {
    return 90;
  }

  @Override
  public int multiprocessors() {
    return multiprocessors;
  }

  /** The kernels are in the library already: the image is not looked at. */
  @Override
  public Module load(byte[] image) {
    return name -> {
      MemorySegment text = Arena.ofAuto().allocateFrom(name);
      try {
        if ((int) HAS_KERNEL.invokeExact(hasKernel, text) == 0) {
          throw new IllegalArgumentException("the emulator has no kernel '" + name + "'");
        }
      } catch (Throwable e) {
        throw unexpected(e);
      }
      return new NamedKernel(name, text);
    };
  }

  @Override
  public long allocate(long bytes) {
    long address;
    try {
      address = (long) ALLOCATE.invokeExact(allocate, bytes);
    } catch (Throwable e) {
      throw unexpected(e);
    }
    if (address == 0) {
      throw new IllegalStateException("the emulator has no " + bytes + " bytes of device memory");
    }
    return address;
  }

  @Override
  public void free(long address) {
    try {
      check((int) FREE.invokeExact(free, address));
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  @Override
  public void upload(MemorySegment host, long device) {
    if (host.isNative()) {
      copy(TO_DEVICE, MemorySegment.ofAddress(device), host, host.byteSize());
      return;
    }
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment staged = arena.allocate(host.byteSize(), Long.BYTES).copyFrom(host);
      copy(TO_DEVICE, MemorySegment.ofAddress(device), staged, host.byteSize());
    }
  }

  @Override
  public void download(long device, MemorySegment host) {
    if (host.isNative()) {
      copy(TO_HOST, host, MemorySegment.ofAddress(device), host.byteSize());
      return;
    }
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment staged = arena.allocate(host.byteSize(), Long.BYTES);
      copy(TO_HOST, staged, MemorySegment.ofAddress(device), host.byteSize());
      host.copyFrom(staged);
    }
  }

  @Override
  public void copy(long source, long target, long bytes) {
    copy(WITHIN_DEVICE, MemorySegment.ofAddress(target), MemorySegment.ofAddress(source), bytes);
  }

  @Override
  public void clear(long address, long bytes) {
    copy(ZEROES, MemorySegment.ofAddress(address), MemorySegment.NULL, bytes);
  }

  private void copy(int kind, MemorySegment target, MemorySegment source, long bytes) {
    try {
      check((int) COPY.invokeExact(copy, kind, target, source, bytes));
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  @Override
  public void launch(
      Kernel kernel, int blocks, int threads, int sharedBytes, MemorySegment arguments) {
    if (sharedBytes != 0) {
      throw new IllegalArgumentException(
          "the emulator has no shared memory of a size set at launch");
    }
    launch(launch, kernel, blocks, threads, arguments);
  }

  @Override
  public void launchTogether(Kernel kernel, int blocks, int threads, MemorySegment arguments) {
    launch(launchTogether, kernel, blocks, threads, arguments);
  }

  private void launch(
      MemorySegment function, Kernel kernel, int blocks, int threads, MemorySegment arguments) {
    MemorySegment name = ((NamedKernel) kernel).text();
    try {
      check((int) LAUNCH.invokeExact(function, name, blocks, 1, 1, threads, 1, 1, arguments));
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  @Override
  public int blocksAtOnce(Kernel kernel, int threads) {
    return multiprocessors;
  }

  /** Nothing is ever queued. */
  @Override
  public void synchronize() {}

  @Override
  public void close() {}

  private void check(int status) {
    if (status == 0) {
      return;
    }
    try {
      MemorySegment text = (MemorySegment) ERROR.invokeExact(error);
      throw new IllegalStateException(text.reinterpret(Long.MAX_VALUE).getString(0));
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  private static MethodHandle handle(FunctionDescriptor signature) {
    return Linker.nativeLinker().downcallHandle(signature);
  }

  private static RuntimeException unexpected(Throwable e) {
    if (e instanceof Error error) {
      throw error;
    }
    return e instanceof RuntimeException known ? known : new IllegalStateException(e);
  }
}
