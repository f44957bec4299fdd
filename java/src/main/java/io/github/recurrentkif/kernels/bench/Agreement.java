package io.github.recurrentkif.kernels.bench;

import io.github.recurrentkif.kernels.reference.ReferenceKernels;
import io.github.recurrentkif.memory.HostMemory;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** Inputs of an operation and what the specification makes of them. */
final class Agreement implements AutoCloseable {

  /** No element, one, vector widths and blocks with and without a tail. */
  private static final long[] SMALL = {0, 1, 7, 16, 31, 64, 255, 4096, 4099, 70_001};

  private final Operation operation;
  private final Vectors inputs;
  private final Vectors expected;

  /** Runs the specification. */
  Agreement(Operation operation, long n, Values values) {
    this.operation = operation;
    HostMemory memory = new HostMemory();
    inputs = new Vectors(operation.arrays(), n, memory);
    inputs.fill(values, n);
    // It would refuse a call where one array is too large for it; thresholds are inputs of a merge.
    KernelsContestant specification = new KernelsContestant("", new ReferenceKernels());
    if (operation == Operation.MERGE) {
      try (ReferenceKernels kernels = new ReferenceKernels()) {
        kernels.measure(inputs.inner(), MethodParameters.MERGE, MethodParameters.QUANTILE);
        kernels.measure(inputs.outer(), MethodParameters.MERGE, MethodParameters.QUANTILE);
      }
    }
    expected = new Vectors(operation.arrays(), n, memory);
    expected.set(inputs, operation.arrays());
    specification.run(operation, expected);
  }

  /** What the operation starts from, on the host. */
  Vectors inputs() {
    return inputs;
  }

  /** Runs the contestant on the inputs and says what is wrong, if anything. */
  Optional<String> fault(Contestant contestant) {
    try (Vectors vectors = new Vectors(operation.arrays(), inputs.n(), contestant.device())) {
      return fault(contestant, vectors);
    }
  }

  /** The same in arrays that are there already. */
  Optional<String> fault(Contestant contestant, Vectors vectors) {
    vectors.set(inputs, operation.arrays());
    contestant.run(operation, vectors);
    contestant.await();
    for (Role role : operation.arrays()) {
      @Nullable String difference = vectors.differenceFrom(expected, role);
      if (difference != null) {
        return Optional.of("n = %d: %s".formatted(inputs.n(), difference));
      }
    }
    if (!same(vectors.innerThreshold().value(), expected.innerThreshold().value())) {
      return different(
          "the threshold", vectors.innerThreshold().value(), expected.innerThreshold().value());
    }
    if (!same(vectors.outerThreshold().value(), expected.outerThreshold().value())) {
      return different(
          "the outer threshold",
          vectors.outerThreshold().value(),
          expected.outerThreshold().value());
    }
    if (Double.compare(vectors.norm(), expected.norm()) != 0) {
      return different("the norm", vectors.norm(), expected.norm());
    }
    return Optional.empty();
  }

  private Optional<String> different(String what, Object found, Object wanted) {
    return Optional.of("n = %d: %s is %s, expected %s".formatted(inputs.n(), what, found, wanted));
  }

  private static boolean same(float a, float b) {
    return Float.floatToIntBits(a) == Float.floatToIntBits(b);
  }

  /** Tries small sizes with all kinds of values. */
  static Optional<String> faultOnSmallSizes(Contestant contestant, Operation operation) {
    for (long n : SMALL) {
      for (Values values : Values.values()) {
        try (Agreement agreement = new Agreement(operation, n, values)) {
          Optional<String> fault = agreement.fault(contestant);
          if (fault.isPresent()) {
            return fault;
          }
        }
      }
    }
    return Optional.empty();
  }

  @Override
  public void close() {
    inputs.close();
    expected.close();
  }
}
