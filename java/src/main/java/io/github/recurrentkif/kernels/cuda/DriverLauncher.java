package io.github.recurrentkif.kernels.cuda;

import io.github.recurrentkif.memory.InputException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import jcuda.Pointer;
import jcuda.driver.CUcontext;
import jcuda.driver.CUdevice;
import jcuda.driver.CUdevice_attribute;
import jcuda.driver.CUdeviceptr;
import jcuda.driver.CUevent;
import jcuda.driver.CUfunction;
import jcuda.driver.CUmodule;
import jcuda.driver.CUresult;
import jcuda.driver.CUstream;
import jcuda.driver.JCudaDriver;

/**
 * A GPU by the CUDA driver, through JCuda. It needs {@code libcuda.so.1}, which comes with the
 * driver, and no CUDA toolkit.
 *
 * <p>JCuda gets addresses only, never an array of the heap: it would pin it, or copy it.
 */
public final class DriverLauncher implements Launcher {

  /** The first processor that the PTX runs on, as major * 10 + minor. */
  private static final int OLDEST_PROCESSOR = 75;

  private static final String LIBRARY = "libcuda.so.1";
  private static final long STAGE = 1 << 26;
  private static final long RING = 1 << 25;
  private static final int NO_FLAGS = 0;
  private static final int NO_TIMING = 2;

  private record DriverKernel(String name, CUfunction function) implements Kernel {}

  /** Memory of the host, off the heap. */
  private static final class HostAddress extends Pointer {
    HostAddress() {}

    HostAddress(MemorySegment segment) {
      super(segment.address());
    }

    MemorySegment segment(long bytes) {
      return MemorySegment.ofAddress(getNativePointer() + getByteOffset()).reinterpret(bytes);
    }
  }

  private static final class Queue extends CUstream {
    long address() {
      return getNativePointer();
    }
  }

  /** Memory of the device. */
  private static final class DeviceAddress extends CUdeviceptr {
    DeviceAddress(long address) {
      super(new CUdeviceptr(), address);
    }

    long value() {
      return getNativePointer() + getByteOffset();
    }
  }

  private final int ordinal;
  private final CUcontext context = new CUcontext();
  private final Queue stream = new Queue();
  private final CUevent[] marks = {new CUevent(), new CUevent()};
  private final HostAddress ringMemory = new HostAddress();
  private final UploadRing ring;
  private final int computeCapability;
  private final int multiprocessors;
  private final String description;
  private boolean closed;

  /**
   * Opens a GPU.
   *
   * @param ordinal counted from 0, as {@code CUDA_VISIBLE_DEVICES} leaves them
   * @throws InputException if there is no driver, no such GPU, or it is too old, and says which
   */
  public static DriverLauncher open(int ordinal) {
    // JCuda loads its own library, which needs this one, and would complain at length.
    try (Arena arena = Arena.ofConfined()) {
      SymbolLookup.libraryLookup(LIBRARY, arena);
    } catch (IllegalArgumentException e) {
      throw new InputException(
          "no CUDA: this machine has no driver ("
              + LIBRARY
              + " cannot be loaded); install the"
              + " NVIDIA driver, or compute on the processor with --device cpu",
          e);
    }
    try {
      return new DriverLauncher(ordinal);
    } catch (LinkageError e) {
      throw new InputException(
          "no CUDA: JCuda's library does not load here ("
              + firstLine(e)
              + "); it comes for Linux"
              + " on x86-64 only; compute on the processor with --device cpu",
          e);
    }
  }

  private DriverLauncher(int ordinal) {
    this.ordinal = ordinal;
    demand(JCudaDriver.cuInit(0), "the CUDA driver does not start");
    int[] number = new int[1];
    demand(JCudaDriver.cuDeviceGetCount(number), "the CUDA driver does not count its devices");
    if (ordinal < 0 || ordinal >= number[0]) {
      throw new InputException(
          "no CUDA device %d: the driver knows %d, counted from 0; is CUDA_VISIBLE_DEVICES set?"
              .formatted(ordinal, number[0]));
    }
    CUdevice device = new CUdevice();
    demand(JCudaDriver.cuDeviceGet(device, ordinal), "CUDA device " + ordinal + " does not open");
    computeCapability =
        10 * attribute(device, CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)
            + attribute(device, CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
    byte[] text = new byte[256];
    demand(JCudaDriver.cuDeviceGetName(text, text.length, device), "the GPU does not say its name");
    String name = new String(text, StandardCharsets.UTF_8).replaceAll("\\x00.*", "");
    if (computeCapability < OLDEST_PROCESSOR) {
      throw new InputException(
          "CUDA device %d, %s, is of compute capability %d.%d; the kernels need %d.%d at least"
              .formatted(
                  ordinal,
                  name,
                  computeCapability / 10,
                  computeCapability % 10,
                  OLDEST_PROCESSOR / 10,
                  OLDEST_PROCESSOR % 10));
    }
    multiprocessors =
        attribute(device, CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
    int[] version = new int[1];
    demand(JCudaDriver.cuDriverGetVersion(version), "the CUDA driver does not say its version");
    description =
        "CUDA on %s, compute capability %d.%d, %d multiprocessors, driver for CUDA %d.%d"
            .formatted(
                name,
                computeCapability / 10,
                computeCapability % 10,
                multiprocessors,
                version[0] / 1000,
                version[0] % 1000 / 10);
    // Kept until the process ends: memory may outlive the kernels.
    demand(JCudaDriver.cuDevicePrimaryCtxRetain(context, device), "the GPU takes no more programs");
    enter();
    demand(JCudaDriver.cuStreamCreate(stream, NO_FLAGS), "the GPU has no queue left");
    demand(
        JCudaDriver.cuMemHostAlloc(ringMemory, RING, NO_FLAGS),
        "no " + RING + " bytes of memory that the GPU can read");
    for (CUevent mark : marks) {
      demand(JCudaDriver.cuEventCreate(mark, NO_TIMING), "the GPU has no event left");
    }
    ring =
        new UploadRing(
            ringMemory.segment(RING),
            new UploadRing.Marks() {
              @Override
              public void mark(int half) {
                check(JCudaDriver.cuEventRecord(marks[half], stream), "the queue takes no mark");
              }

              @Override
              public void await(int half) {
                check(JCudaDriver.cuEventSynchronize(marks[half]), "a copy to the GPU failed");
              }
            });
  }

  private static int attribute(CUdevice device, int attribute) {
    int[] value = new int[1];
    demand(
        JCudaDriver.cuDeviceGetAttribute(value, attribute, device),
        "the GPU does not describe itself");
    return value[0];
  }

  @Override
  public String description() {
    return description;
  }

  @Override
  public String deviceName() {
    return "cuda:" + ordinal;
  }

  @Override
  public long queue() {
    return stream.address();
  }

  @Override
  public int computeCapability() {
    return computeCapability;
  }

  @Override
  public int multiprocessors() {
    return multiprocessors;
  }

  @Override
  public Module load(byte[] image) {
    enter();
    CUmodule module = new CUmodule();
    // Text for the driver ends with NUL. JCuda copies it before the call.
    byte[] terminated = Arrays.copyOf(image, image.length + 1);
    check(JCudaDriver.cuModuleLoadData(module, terminated), "the driver refuses the kernels' PTX");
    return name -> {
      enter();
      CUfunction function = new CUfunction();
      int status = JCudaDriver.cuModuleGetFunction(function, module, name);
      if (status != CUresult.CUDA_SUCCESS) {
        throw new IllegalArgumentException(
            "the module has no kernel '" + name + "': " + CUresult.stringFor(status));
      }
      return new DriverKernel(name, function);
    };
  }

  @Override
  public long allocate(long bytes) {
    enter();
    DeviceAddress address = new DeviceAddress(0);
    check(JCudaDriver.cuMemAlloc(address, bytes), "no %d bytes of GPU memory".formatted(bytes));
    return address.value();
  }

  @Override
  public void free(long address) {
    enter();
    if (!closed) {
      synchronize();
    }
    check(JCudaDriver.cuMemFree(new DeviceAddress(address)), "GPU memory is not freed");
  }

  /** Without a wait, unless the ring is full of copies that are still to be made. */
  @Override
  public synchronized void upload(MemorySegment host, long device) {
    enter();
    long part = ring.capacity();
    for (long done = 0; done < host.byteSize(); done += part) {
      long bytes = Math.min(host.byteSize() - done, part);
      check(
          JCudaDriver.cuMemcpyHtoDAsync(
              new DeviceAddress(device + done),
              new HostAddress(ring.stage(host.asSlice(done, bytes))),
              bytes,
              stream),
          "a copy to the GPU failed");
    }
  }

  @Override
  public void download(long device, MemorySegment host) {
    enter();
    if (host.isNative()) {
      check(
          JCudaDriver.cuMemcpyDtoHAsync(
              new HostAddress(host), new DeviceAddress(device), host.byteSize(), stream),
          "a copy from the GPU failed");
      synchronize();
      return;
    }
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment stage = arena.allocate(Math.min(host.byteSize(), STAGE), Long.BYTES);
      for (long done = 0; done < host.byteSize(); done += STAGE) {
        long bytes = Math.min(host.byteSize() - done, STAGE);
        download(device + done, stage.asSlice(0, bytes));
        host.asSlice(done, bytes).copyFrom(stage.asSlice(0, bytes));
      }
    }
  }

  @Override
  public void copy(long source, long target, long bytes) {
    enter();
    check(
        JCudaDriver.cuMemcpyDtoDAsync(
            new DeviceAddress(target), new DeviceAddress(source), bytes, stream),
        "a copy within the GPU failed");
  }

  @Override
  public void clear(long address, long bytes) {
    enter();
    check(
        JCudaDriver.cuMemsetD8Async(new DeviceAddress(address), (byte) 0, bytes, stream),
        "GPU memory is not cleared");
  }

  @Override
  public void launch(
      Kernel kernel, int blocks, int threads, int sharedBytes, MemorySegment arguments) {
    enter();
    DriverKernel known = (DriverKernel) kernel;
    check(
        JCudaDriver.cuLaunchKernel(
            known.function(),
            blocks,
            1,
            1,
            threads,
            1,
            1,
            sharedBytes,
            stream,
            new HostAddress(arguments),
            null),
        known.name());
  }

  @Override
  public void launchTogether(Kernel kernel, int blocks, int threads, MemorySegment arguments) {
    enter();
    DriverKernel known = (DriverKernel) kernel;
    check(
        JCudaDriver.cuLaunchCooperativeKernel(
            known.function(), blocks, 1, 1, threads, 1, 1, 0, stream, new HostAddress(arguments)),
        known.name());
  }

  @Override
  public int blocksAtOnce(Kernel kernel, int threads) {
    enter();
    DriverKernel known = (DriverKernel) kernel;
    int[] each = new int[1];
    check(
        JCudaDriver.cuOccupancyMaxActiveBlocksPerMultiprocessor(each, known.function(), threads, 0),
        "the driver does not say how many blocks run at once");
    return each[0] * multiprocessors;
  }

  @Override
  public void synchronize() {
    enter();
    check(JCudaDriver.cuStreamSynchronize(stream), "a kernel before this point failed");
  }

  @Override
  public void close() {
    if (!closed) {
      synchronize();
      closed = true;
      for (CUevent mark : marks) {
        check(JCudaDriver.cuEventDestroy(mark), "the GPU's event is not closed");
      }
      check(JCudaDriver.cuMemFreeHost(ringMemory), "memory of the host is not freed");
      check(JCudaDriver.cuStreamDestroy(stream), "the GPU's queue is not closed");
    }
  }

  /** A context belongs to a thread, and calls come from any. */
  private void enter() {
    check(JCudaDriver.cuCtxSetCurrent(context), "the GPU's context is gone");
  }

  private static void check(int status, String what) {
    if (status != CUresult.CUDA_SUCCESS) {
      throw new IllegalStateException(what + ": " + text(status));
    }
  }

  private static void demand(int status, String what) {
    if (status != CUresult.CUDA_SUCCESS) {
      throw new InputException(
          "no CUDA: "
              + what
              + " ("
              + text(status)
              + "); does nvidia-smi work? --device cpu computes"
              + " on the processor");
    }
  }

  private static String text(int status) {
    String[] sentence = new String[1];
    String name = CUresult.stringFor(status);
    return JCudaDriver.cuGetErrorString(status, sentence) == CUresult.CUDA_SUCCESS
        ? name + ", " + sentence[0]
        : name;
  }

  private static String firstLine(Throwable e) {
    return String.valueOf(e.getMessage()).strip().lines().findFirst().orElse("");
  }
}
