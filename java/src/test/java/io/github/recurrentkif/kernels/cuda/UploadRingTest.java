package io.github.recurrentkif.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class UploadRingTest {

  private static final long HALF = 256;

  private final List<String> said = new ArrayList<>();

  private final UploadRing ring =
      new UploadRing(
          Arena.ofAuto().allocate(2 * HALF, 64),
          new UploadRing.Marks() {
            @Override
            public void mark(int half) {
              said.add("mark " + half);
            }

            @Override
            public void await(int half) {
              said.add("await " + half);
            }
          });

  private MemorySegment stage(int bytes, int value) {
    byte[] values = new byte[bytes];
    java.util.Arrays.fill(values, (byte) value);
    MemorySegment staged = ring.stage(MemorySegment.ofArray(values));
    assertEquals(-1, staged.mismatch(MemorySegment.ofArray(values)));
    return staged;
  }

  @Test
  void whatIsStagedStaysUntilItsHalfIsTakenAgain() {
    MemorySegment first = stage(100, 1);
    MemorySegment second = stage(100, 2);
    assertNotEquals(first.address(), second.address());
    assertEquals(List.of(), said);
    stage(200, 3);
    assertEquals(List.of("mark 0"), said);
    assertEquals(1, first.get(java.lang.foreign.ValueLayout.JAVA_BYTE, 99));
    stage(200, 4);
    assertEquals(List.of("mark 0", "mark 1", "await 0"), said);
    stage(200, 5);
    assertEquals(List.of("mark 0", "mark 1", "await 0", "mark 0", "await 1"), said);
  }

  @Test
  void aWholeHalfFits() {
    assertEquals(HALF, ring.capacity());
    stage((int) HALF, 1);
    stage((int) HALF, 2);
    stage(0, 3);
    assertEquals(List.of("mark 0"), said);
  }
}
