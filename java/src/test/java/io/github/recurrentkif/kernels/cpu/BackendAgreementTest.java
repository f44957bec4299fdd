package io.github.recurrentkif.kernels.cpu;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.recurrentkif.kernels.Operations;
import io.github.recurrentkif.kernels.Score;
import io.github.recurrentkif.kernels.Sizes;
import io.github.recurrentkif.kernels.Sizes.Size;
import io.github.recurrentkif.kernels.Workspace;
import io.github.recurrentkif.kernels.Workspace.Values;
import io.github.recurrentkif.kernels.cpu.NativeBackends.NativeBackend;
import io.github.recurrentkif.kernels.reference.ReferenceKernels;
import io.github.recurrentkif.memory.ParameterLayout;
import java.lang.foreign.MemorySegment;
import java.util.LinkedHashMap;
import java.util.SequencedMap;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Every backend gives the bits of the reference. */
class BackendAgreementTest {

  private static final SequencedMap<NativeBackend, NativeKernels> BACKENDS = new LinkedHashMap<>();

  @BeforeAll
  static void open() {
    NativeBackends.all().forEach(backend -> BACKENDS.put(backend, backend.open()));
  }

  @AfterAll
  static void close() {
    BACKENDS.values().forEach(NativeKernels::close);
    BACKENDS.clear();
  }

  @ParameterizedTest
  @EnumSource
  void everyOperationGivesTheSameBitsOnEveryBackendAtEverySize(Values values) {
    for (Size size : Sizes.all()) {
      if (values != Values.ORDINARY && size.elements() > 5000 && size.elements() % 2 == 0) {
        continue; // the large sizes are about blocks and threads, not about values
      }
      ParameterLayout layout = Workspace.layoutOf(size.elements());
      try (Workspace start = Workspace.random(layout, values, size.elements());
          Workspace expected = new Workspace(layout);
          Workspace actual = new Workspace(layout);
          ReferenceKernels reference = new ReferenceKernels()) {
        Operations.all()
            .forEach(
                (name, operation) -> {
                  expected.copyFrom(start);
                  Object result = operation.run(reference, expected);
                  BACKENDS.forEach(
                      (backend, kernels) -> {
                        String where = name + " at " + size + " with " + backend;
                        actual.copyFrom(start);
                        assertEquals(result, operation.run(kernels, actual), where);
                        actual.assertSameAs(expected, where);
                      });
                });
      }
    }
  }

  @Test
  void aRankBeyondFloat32IsTheSameInC() {
    ParameterLayout layout = Workspace.layoutOf(Sizes.beyondFloatRanks().elements());
    NativeKernels strongest = BACKENDS.lastEntry().getValue();
    try (Workspace space = new Workspace(layout);
        ReferenceKernels reference = new ReferenceKernels()) {
      MemorySegment scores = space.inner.importance().sensitivity().segment();
      for (ParameterLayout.Tensor tensor : layout.tensors()) {
        for (long i = tensor.offset(); i < tensor.offset() + tensor.elements(); i++) {
          // Scattered bits of numbers below 2.
          int scattered = (int) ((i * 0x9E3779B1L) >>> 3);
          scores.setAtIndex(JAVA_FLOAT, i, Float.intBitsToFloat(scattered >>> 2));
        }
      }
      for (double quantile : new double[] {0.1, 0.8}) {
        reference.threshold(
            space.inner.importance(), Score.SENSITIVITY, quantile, space.inner.threshold());
        strongest.threshold(
            space.inner.importance(), Score.SENSITIVITY, quantile, space.outer.threshold());
        assertEquals(space.inner.threshold().value(), space.outer.threshold().value());
      }
      assertEquals(
          reference.squaredNorm(space.inner.importance().sensitivity()),
          strongest.squaredNorm(space.inner.importance().sensitivity()));
    }
  }
}
