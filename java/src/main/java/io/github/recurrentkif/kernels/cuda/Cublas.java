package io.github.recurrentkif.kernels.cuda;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import io.github.recurrentkif.memory.InputException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.util.List;
import java.util.NoSuchElementException;

/**
 * The four functions of cuBLAS that are used here, which are the same in CUDA 12 and 13: a handle
 * on a queue, and products of float32 matrices in device memory.
 *
 * <p>cuBLAS stores matrices column by column. A matrix that lies row by row is the transposed one
 * to it, so that {@code C = A*B} by rows is {@code C' = B'*A'} by columns: the factors change
 * places, and nothing is transposed.
 */
final class Cublas implements AutoCloseable {

  private static final List<String> LIBRARIES = List.of("libcublas.so.13", "libcublas.so.12");
  private static final int NOT_TRANSPOSED = 0;

  private final String library;
  private final MethodHandle destroy;
  private final MethodHandle sgemm;
  private final MemorySegment handle;

  /** Host memory, as cuBLAS takes the two factors of a product by default. */
  private final Arena arena = Arena.ofShared();

  private final MemorySegment one = arena.allocateFrom(JAVA_FLOAT, 1);
  private final MemorySegment zero = arena.allocateFrom(JAVA_FLOAT, 0);

  /**
   * @param queue a {@code CUstream} of the context that is current
   * @throws InputException if there is no cuBLAS
   */
  static Cublas open(long queue) {
    for (String name : LIBRARIES) {
      SymbolLookup symbols;
      try {
        symbols = SymbolLookup.libraryLookup(name, Arena.global());
      } catch (IllegalArgumentException e) {
        continue;
      }
      return new Cublas(name, symbols, queue);
    }
    throw new InputException(
        "no cuBLAS: none of "
            + String.join(", ", LIBRARIES)
            + " can be loaded; LD_LIBRARY_PATH names their folder");
  }

  private Cublas(String library, SymbolLookup symbols, long queue) {
    this.library = library;
    Linker linker = Linker.nativeLinker();
    try {
      MethodHandle create =
          linker.downcallHandle(
              symbols.findOrThrow("cublasCreate_v2"), FunctionDescriptor.of(JAVA_INT, ADDRESS));
      MethodHandle setStream =
          linker.downcallHandle(
              symbols.findOrThrow("cublasSetStream_v2"),
              FunctionDescriptor.of(JAVA_INT, ADDRESS, ADDRESS));
      destroy =
          linker.downcallHandle(
              symbols.findOrThrow("cublasDestroy_v2"), FunctionDescriptor.of(JAVA_INT, ADDRESS));
      sgemm =
          linker.downcallHandle(
              symbols.findOrThrow("cublasSgemm_v2"),
              FunctionDescriptor.of(
                  JAVA_INT, ADDRESS, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, ADDRESS,
                  ADDRESS, JAVA_INT, ADDRESS, JAVA_INT, ADDRESS, ADDRESS, JAVA_INT));
      try (Arena local = Arena.ofConfined()) {
        MemorySegment out = local.allocate(ADDRESS);
        check((int) create.invokeExact(out), "does not start");
        handle = out.get(ADDRESS, 0);
      }
      check((int) setStream.invokeExact(handle, MemorySegment.ofAddress(queue)), "takes no queue");
    } catch (NoSuchElementException e) {
      throw new InputException(library + " is not cuBLAS: " + e.getMessage(), e);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  /** Which library. */
  String library() {
    return library;
  }

  /**
   * Queues {@code product = left * right} of matrices in device memory that lie row by row: [rows,
   * inner] and [inner, columns].
   */
  void multiply(long product, long left, long right, int rows, int inner, int columns) {
    try {
      check(
          (int)
              sgemm.invokeExact(
                  handle,
                  NOT_TRANSPOSED,
                  NOT_TRANSPOSED,
                  columns,
                  rows,
                  inner,
                  one,
                  MemorySegment.ofAddress(right),
                  columns,
                  MemorySegment.ofAddress(left),
                  inner,
                  zero,
                  MemorySegment.ofAddress(product),
                  columns),
          "refuses a product");
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  private void check(int status, String what) {
    if (status != 0) {
      throw new IllegalStateException(library + " " + what + ": status " + status);
    }
  }

  private static RuntimeException unexpected(Throwable e) {
    if (e instanceof Error error) {
      throw error;
    }
    return e instanceof RuntimeException known ? known : new IllegalStateException(e);
  }

  @Override
  public void close() {
    try {
      check((int) destroy.invokeExact(handle), "does not end");
    } catch (Throwable e) {
      throw unexpected(e);
    }
    arena.close();
  }
}
