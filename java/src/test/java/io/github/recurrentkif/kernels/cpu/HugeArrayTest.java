package io.github.recurrentkif.kernels.cpu;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;

/** More elements than 32 bits count: -Dkif.tests.huge=true, with 9 GB of free memory. */
class HugeArrayTest {

  private static final long ELEMENTS = (1L << 31) + 1_000_003;
  private static final int SENSITIVITY = 1;

  @Test
  void whatLiesBeyondTwoToThe31IsFound() {
    Assumptions.assumeTrue(
        Boolean.getBoolean("kif.tests.huge"),
        "SKIPPED: arrays of more than 2^31 elements, which -Dkif.tests.huge=true and 9 GB allow");
    NativeLibrary library = NativeBackends.library();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment place = arena.allocate(ADDRESS);
      assertEquals(0, library.contextCreate(2, InstructionSet.BEST, place));
      MemorySegment context = place.get(ADDRESS, 0);
      MemorySegment array = arena.allocate(ELEMENTS * Float.BYTES, 64);
      MemorySegment result = arena.allocate(JAVA_DOUBLE, 2);
      // Zeros, and at the end 1 to 1000: the greatest value lies at an index beyond int.
      for (int i = 0; i < 1000; i++) {
        array.setAtIndex(JAVA_FLOAT, ELEMENTS - 1000 + i, i + 1);
      }
      assertEquals(0, library.squaredNorm(context, array, ELEMENTS, result));
      assertEquals(1000.0 * 1001 * 2001 / 6, result.get(JAVA_DOUBLE, 0));
      assertEquals(0, threshold(library, context, array, 1, result));
      assertEquals(1000, result.get(JAVA_FLOAT, 0));
      // Half of 2^31 is a rank that needs double: it falls among the zeros.
      assertEquals(0, threshold(library, context, array, 0.5, result));
      assertEquals(0, result.get(JAVA_FLOAT, 0));
      assertEquals(
          0,
          library.range(
              context, array, array, SENSITIVITY, MemorySegment.NULL, 0, ELEMENTS, 0, result));
      assertEquals(0, result.getAtIndex(JAVA_FLOAT, 0));
      assertEquals(1000, result.getAtIndex(JAVA_FLOAT, 1));
      library.contextDestroy(context);
    }
  }

  private static int threshold(
      NativeLibrary library,
      MemorySegment context,
      MemorySegment array,
      double quantile,
      MemorySegment result) {
    return library.threshold(
        context, array, array, SENSITIVITY, quantile, MemorySegment.NULL, 0, ELEMENTS, 0, result);
  }
}
