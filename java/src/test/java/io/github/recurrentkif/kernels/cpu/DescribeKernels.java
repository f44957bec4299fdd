package io.github.recurrentkif.kernels.cpu;

import io.github.recurrentkif.kernels.Kernels;

/** A process of its own that prints which kernels it gets. */
final class DescribeKernels {

  private DescribeKernels() {}

  public static void main(String[] arguments) {
    try (Kernels kernels = CpuKernels.open(1).kernels()) {
      System.out.println(kernels.description());
    }
  }
}
