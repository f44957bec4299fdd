package io.github.recurrentkif.kernels.cuda;

import io.github.recurrentkif.kernels.Products;
import io.github.recurrentkif.memory.InputException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** Products on a GPU, by cuBLAS: the factors go there, the product comes back. */
public final class CudaProducts implements Products {

  /**
   * Whether there is a cuBLAS for a GPU that is there.
   *
   * @param detail which one, or why none
   */
  public record Availability(boolean available, String detail) {}

  private final Launcher launcher;
  private final Cublas cublas;
  private final CudaDevice device;
  private boolean closed;

  // Grows with the largest product.
  private Arena arena = Arena.ofShared();
  private MemorySegment memory = MemorySegment.NULL;

  /**
   * Opens a GPU and cuBLAS on it.
   *
   * @param ordinal counted from 0
   * @throws InputException if one of them is missing, and says which
   */
  public static CudaProducts open(int ordinal) {
    return new CudaProducts(DriverLauncher.open(ordinal));
  }

  /** Tries to open it on the first GPU. */
  public static Availability examine() {
    try (CudaProducts products = open(0)) {
      return new Availability(true, products.cublas.library());
    } catch (InputException | IllegalStateException e) {
      return new Availability(false, String.valueOf(e.getMessage()));
    }
  }

  /**
   * @param launcher closed with this
   */
  CudaProducts(Launcher launcher) {
    this.launcher = launcher;
    this.device = new CudaDevice(launcher);
    boolean opened = false;
    try {
      this.cublas = Cublas.open(launcher.queue());
      opened = true;
    } finally {
      if (!opened) {
        launcher.close();
      }
    }
  }

  @Override
  public String description() {
    return cublas.library() + ", " + launcher.description();
  }

  @Override
  public synchronized void multiply(
      MemorySegment product,
      MemorySegment left,
      MemorySegment right,
      int rows,
      int inner,
      int columns) {
    Products.requireSizes(product, left, right, rows, inner, columns);
    if (closed) {
      throw new IllegalStateException("these products are closed");
    }
    if (product.byteSize() == 0) {
      return;
    }
    MemorySegment deviceProduct = reserve(product.byteSize() + left.byteSize() + right.byteSize());
    MemorySegment deviceLeft = memory.asSlice(product.byteSize(), left.byteSize());
    MemorySegment deviceRight =
        memory.asSlice(product.byteSize() + left.byteSize(), right.byteSize());
    device.upload(left, deviceLeft);
    device.upload(right, deviceRight);
    cublas.multiply(
        deviceProduct.address(), deviceLeft.address(), deviceRight.address(), rows, inner, columns);
    device.download(deviceProduct.asSlice(0, product.byteSize()), product);
  }

  private MemorySegment reserve(long bytes) {
    if (memory.byteSize() < bytes) {
      arena.close();
      arena = Arena.ofShared();
      memory = device.allocate(bytes, arena);
    }
    return memory;
  }

  @Override
  public synchronized void close() {
    if (!closed) {
      closed = true;
      cublas.close();
      arena.close();
      launcher.close();
    }
  }
}
