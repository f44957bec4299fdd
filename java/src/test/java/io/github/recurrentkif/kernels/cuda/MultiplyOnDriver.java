package io.github.recurrentkif.kernels.cuda;

import io.github.recurrentkif.kernels.reference.ReferenceProducts;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Random;

/**
 * A process of its own that multiplies on the first device of whatever driver it finds, compares
 * with the reference, and prints what multiplied and the largest deviation, relative to the largest
 * element.
 */
final class MultiplyOnDriver {

  private MultiplyOnDriver() {}

  public static void main(String[] arguments) {
    double worst = 0;
    try (CudaProducts products = CudaProducts.open(0);
        ReferenceProducts reference = new ReferenceProducts()) {
      System.out.println(products.description());
      // Every extent is another one, so that none can stand for another.
      int[][] shapes = {{1, 1, 1}, {3, 2, 5}, {64, 8, 130}, {130, 9, 64}, {2, 700, 3}, {0, 4, 4}};
      for (int[] shape : shapes) {
        float[] left = random(shape[0] * shape[1], 1);
        float[] right = random(shape[1] * shape[2], 2);
        float[] expected = new float[shape[0] * shape[2]];
        float[] found = new float[expected.length];
        Arrays.fill(found, Float.NaN);
        reference.multiply(
            MemorySegment.ofArray(expected),
            MemorySegment.ofArray(left),
            MemorySegment.ofArray(right),
            shape[0],
            shape[1],
            shape[2]);
        products.multiply(
            MemorySegment.ofArray(found),
            MemorySegment.ofArray(left),
            MemorySegment.ofArray(right),
            shape[0],
            shape[1],
            shape[2]);
        worst = Math.max(worst, deviation(expected, found));
      }
    }
    System.out.println("deviation " + worst);
    if (worst > 1e-5) {
      throw new AssertionError("products deviate by " + worst);
    }
  }

  private static double deviation(float[] expected, float[] found) {
    double largest = 0;
    double deviation = 0;
    for (int i = 0; i < expected.length; i++) {
      largest = Math.max(largest, Math.abs(expected[i]));
      deviation =
          Float.isNaN(found[i])
              ? Double.POSITIVE_INFINITY
              : Math.max(deviation, Math.abs(expected[i] - (double) found[i]));
    }
    return expected.length == 0 ? 0 : deviation / largest;
  }

  private static float[] random(int length, long seed) {
    Random random = new Random(seed);
    float[] values = new float[length];
    for (int i = 0; i < length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }
}
