package io.github.recurrentkif.kernels.reference;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import io.github.recurrentkif.kernels.Products;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/** Products as they are written down: what other implementations are compared with. */
public final class ReferenceProducts implements Products {

  @Override
  public String description() {
    return "Java";
  }

  @Override
  public void multiply(
      MemorySegment product,
      MemorySegment left,
      MemorySegment right,
      int rows,
      int inner,
      int columns) {
    Products.requireSizes(product, left, right, rows, inner, columns);
    // A row at a time in an array, which the compiler turns into vector instructions.
    float[] sums = new float[columns];
    float[] factors = right.toArray(JAVA_FLOAT);
    for (int row = 0; row < rows; row++) {
      Arrays.fill(sums, 0);
      for (int k = 0; k < inner; k++) {
        float factor = left.getAtIndex(JAVA_FLOAT, (long) row * inner + k);
        int start = k * columns;
        for (int column = 0; column < columns; column++) {
          sums[column] += factor * factors[start + column];
        }
      }
      MemorySegment.copy(sums, 0, product, JAVA_FLOAT, (long) row * columns * Float.BYTES, columns);
    }
  }

  @Override
  public void close() {}
}
