package io.github.recurrentkif.memory;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

final class ShapeTest {

  @Test
  void countsItsElements() {
    assertEquals(24, Shape.of(2, 3, 4).elements());
    assertEquals(3, Shape.of(2, 3, 4).rank());
    assertEquals(4, Shape.of(2, 3, 4).dimension(2));
    assertArrayEquals(new long[] {2, 3, 4}, Shape.of(2, 3, 4).toArray());
    assertEquals("[2, 3, 4]", Shape.of(2, 3, 4).toString());
  }

  @Test
  void aScalarHasOneElement() {
    assertEquals(1, Shape.of().elements());
    assertEquals(0, Shape.of().rank());
    assertEquals("[]", Shape.of().toString());
  }

  @Test
  void anEmptyDimensionLeavesNoElements() {
    assertEquals(0, Shape.of(5, 0, 7).elements());
    assertEquals(0, Shape.of(0, Long.MAX_VALUE, Long.MAX_VALUE).elements());
  }

  @Test
  void theLargestCountFits() {
    assertEquals(Long.MAX_VALUE, Shape.of(Long.MAX_VALUE, 1).elements());
    assertEquals(1L << 62, Shape.of(1L << 31, 1L << 31).elements());
  }

  @Test
  void refusesMoreElementsThanALongCounts() {
    var e = assertThrows(IllegalArgumentException.class, () -> Shape.of(1L << 32, 1L << 31));
    Messages.assertContains("[4294967296, 2147483648]", e);
  }

  @Test
  void refusesNegativeDimensions() {
    var e = assertThrows(IllegalArgumentException.class, () -> Shape.of(2, -1));
    Messages.assertContains("[2, -1]", e);
  }

  @Test
  void doesNotChangeWithTheListItWasMadeFrom() {
    List<Long> dimensions = new ArrayList<>(List.of(2L, 3L));
    Shape shape = new Shape(dimensions);
    dimensions.set(0, 9L);
    assertEquals(Shape.of(2, 3), shape);
  }
}
