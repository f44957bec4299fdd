package io.github.recurrentkif.kernels.cuda;

import io.github.recurrentkif.kernels.Workspace;
import io.github.recurrentkif.kernels.Workspace.Values;
import io.github.recurrentkif.kernels.reference.ReferenceKernels;
import io.github.recurrentkif.memory.ParameterLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

/**
 * A process of its own that runs every operation on the first device of whatever driver it finds,
 * compares with the reference, and prints the device and how many comparisons held.
 */
final class CompareOnDriver {

  private CompareOnDriver() {}

  public static void main(String[] arguments) throws InterruptedException {
    List<String> held = new ArrayList<>();
    // Contexts belong to threads: what one opens, another must be able to use.
    try (CudaKernels kernels = CudaKernels.open(0)) {
      Thread other = new Thread(() -> compareAll(kernels, held));
      other.start();
      other.join();
      System.out.println(kernels.description());
    }
    System.out.println(held.size() + " comparisons held");
  }

  private static void compareAll(CudaKernels kernels, List<String> held) {
    for (int elements : new int[] {0, 1, 17, 1025, 12_295}) {
      ParameterLayout layout = Workspace.layoutOf(elements);
      try (Workspace start = Workspace.random(layout, Values.NOT_A_NUMBER, elements);
          Workspace expected = new Workspace(layout);
          Workspace actual = new Workspace(layout, kernels.device());
          ReferenceKernels reference = new ReferenceKernels()) {
        CudaOperations.all()
            .forEach(
                (name, operation) -> {
                  String where = name + " at " + elements;
                  expected.copyFrom(start);
                  actual.copyFrom(start);
                  Object wanted = operation.run(reference, expected);
                  Object found = operation.run(kernels, actual);
                  if (!Objects.equals(wanted, found)) {
                    throw new AssertionError(where + ": " + found + ", not " + wanted);
                  }
                  actual.assertSameAs(expected, where);
                  held.add(where);
                });
      }
    }
  }
}
