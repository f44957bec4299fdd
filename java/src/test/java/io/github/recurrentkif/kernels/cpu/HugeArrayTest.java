package io.github.recurrentkif.kernels.cpu;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import io.github.recurrentkif.kernels.Bounds;
import io.github.recurrentkif.kernels.Importance;
import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.kernels.Score;
import io.github.recurrentkif.kernels.Threshold;
import io.github.recurrentkif.kernels.reference.ReferenceKernels;
import io.github.recurrentkif.memory.Device;
import io.github.recurrentkif.memory.HostMemory;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.memory.Shape;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.util.LinkedHashMap;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/**
 * More elements than 32 bits count: -Dkif.tests.huge=true. Nearly all of them are pages of zeros
 * that nobody writes, which take no memory.
 */
class HugeArrayTest {

  private static final long ELEMENTS = (1L << 31) + 1_000_003;

  @BeforeEach
  void onlyWhereAskedFor() {
    Assumptions.assumeTrue(
        Boolean.getBoolean("kif.tests.huge"),
        "SKIPPED: arrays of more than 2^31 elements, which -Dkif.tests.huge=true allows");
  }

  @Test
  void theNativeKernelsFindWhatLiesBeyondTwoToThe31() throws NativeUnavailableException {
    try (Kernels kernels = new NativeKernels(NativeBackends.library(), 2, InstructionSet.BEST)) {
      whatLiesBeyondIsFound(kernels);
    }
  }

  @Test
  void theReferenceFindsWhatLiesBeyondTwoToThe31() {
    try (Kernels kernels = new ReferenceKernels()) {
      whatLiesBeyondIsFound(kernels);
    }
  }

  private static void whatLiesBeyondIsFound(Kernels kernels) {
    LinkedHashMap<String, Shape> shapes = new LinkedHashMap<>();
    shapes.put("huge", Shape.of(ELEMENTS));
    ParameterLayout layout = ParameterLayout.of(shapes);
    try (Importance importance = Importance.zero(layout, new Untouched());
        Threshold threshold = new Threshold(kernels.device())) {
      // Zeros, and at the end 1 to 1000: the greatest value lies at an index beyond int.
      MemorySegment array = importance.sensitivity().segment();
      for (int i = 0; i < 1000; i++) {
        array.setAtIndex(JAVA_FLOAT, ELEMENTS - 1000 + i, i + 1);
      }
      assertEquals(1000.0 * 1001 * 2001 / 6, kernels.squaredNorm(importance.sensitivity()));
      kernels.threshold(importance, Score.SENSITIVITY, 1, threshold);
      assertEquals(1000, threshold.value());
      // Half of 2^31 is a rank that needs double: it falls among the zeros.
      kernels.threshold(importance, Score.SENSITIVITY, 0.5, threshold);
      assertEquals(0, threshold.value());
      kernels.range(importance, Score.SENSITIVITY, threshold);
      assertEquals(new Bounds(0, 1000), threshold.bounds(0));
    }
  }

  /** Memory of the system's that is zero until it is written. */
  private static final class Untouched implements Device {

    private static final long CACHE_LINE = 64;
    private static final Linker LINKER = Linker.nativeLinker();
    private static final MethodHandle CALLOC =
        LINKER.downcallHandle(
            LINKER.defaultLookup().findOrThrow("calloc"),
            FunctionDescriptor.of(ADDRESS, JAVA_LONG, JAVA_LONG));
    private static final MethodHandle FREE =
        LINKER.downcallHandle(
            LINKER.defaultLookup().findOrThrow("free"), FunctionDescriptor.ofVoid(ADDRESS));

    private final Device host = new HostMemory();

    @Override
    public String name() {
      return host.name();
    }

    @Override
    public MemorySegment allocate(long bytes, Arena arena) {
      MemorySegment memory;
      try {
        memory = (MemorySegment) CALLOC.invokeExact(1L, bytes + CACHE_LINE);
      } catch (Throwable e) {
        throw new AssertionError(e);
      }
      assertNotEquals(MemorySegment.NULL, memory, "no address space");
      MemorySegment owned = memory.reinterpret(bytes + CACHE_LINE, arena, Untouched::free);
      return owned.asSlice(-memory.address() & (CACHE_LINE - 1), bytes);
    }

    private static void free(MemorySegment memory) {
      try {
        FREE.invokeExact(memory);
      } catch (Throwable e) {
        throw new AssertionError(e);
      }
    }

    @Override
    public void upload(MemorySegment from, MemorySegment to) {
      host.upload(from, to);
    }

    @Override
    public void copy(MemorySegment source, MemorySegment target) {
      host.copy(source, target);
    }

    @Override
    public void download(MemorySegment from, MemorySegment to) {
      host.download(from, to);
    }
  }
}
