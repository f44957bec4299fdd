package io.github.recurrentkif.kernels;

import java.lang.foreign.MemorySegment;

/**
 * Products of dense float32 matrices in memory of the host, row by row. Calls may run side by side.
 */
public interface Products extends AutoCloseable {

  /** For people: what multiplies. */
  String description();

  /**
   * {@code product = left * right}, each element a sum over {@code inner} float32 products. The
   * order of the sum is that of {@code inner} on the processor, and not said on a GPU.
   *
   * @param product [rows, columns], overwritten
   * @param left [rows, inner]
   * @param right [inner, columns]
   * @throws IllegalArgumentException if a segment has another size than its matrix
   */
  void multiply(
      MemorySegment product,
      MemorySegment left,
      MemorySegment right,
      int rows,
      int inner,
      int columns);

  @Override
  void close();

  /** Checks that segments have the sizes of their matrices. */
  static void requireSizes(
      MemorySegment product,
      MemorySegment left,
      MemorySegment right,
      int rows,
      int inner,
      int columns) {
    require(product, rows, columns);
    require(left, rows, inner);
    require(right, inner, columns);
  }

  private static void require(MemorySegment matrix, long rows, long columns) {
    if (matrix.byteSize() != rows * columns * Float.BYTES) {
      throw new IllegalArgumentException(
          "a matrix of %d x %d float32 in %d bytes".formatted(rows, columns, matrix.byteSize()));
    }
  }
}
