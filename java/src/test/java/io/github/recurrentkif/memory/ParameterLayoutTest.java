package io.github.recurrentkif.memory;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.SequencedMap;
import org.junit.jupiter.api.Test;

final class ParameterLayoutTest {

  private static ParameterLayout layout(Object... namesAndShapes) {
    SequencedMap<String, Shape> shapes = new LinkedHashMap<>();
    for (int i = 0; i < namesAndShapes.length; i += 2) {
      shapes.put((String) namesAndShapes[i], (Shape) namesAndShapes[i + 1]);
    }
    return ParameterLayout.of(shapes);
  }

  @Test
  void everyTensorStartsOnACacheLine() {
    ParameterLayout layout =
        layout(
            "scalar", Shape.of(), "exact", Shape.of(4, 4), "odd", Shape.of(17), "b", Shape.of(1));
    assertEquals(
        List.of(0L, 16L, 32L, 64L),
        layout.tensors().stream().map(ParameterLayout.Tensor::offset).toList());
    assertEquals(80, layout.length());
    assertEquals(1 + 16 + 17 + 1, layout.elements());
    assertEquals(80 - 35, layout.padding());
  }

  @Test
  void tensorsKeepTheOrderTheyWereGivenIn() {
    assertEquals(
        List.of("z", "a", "m"),
        layout("z", Shape.of(1), "a", Shape.of(1), "m", Shape.of(1)).tensors().stream()
            .map(ParameterLayout.Tensor::name)
            .toList());
  }

  @Test
  void anEmptyTensorTakesNoRoom() {
    ParameterLayout layout = layout("none", Shape.of(0, 3), "some", Shape.of(2));
    assertEquals(0, layout.tensor("none").elements());
    assertEquals(0, layout.tensor("some").offset());
    assertEquals(16, layout.length());
  }

  @Test
  void aLayoutMayBeEmpty() {
    assertEquals(0, layout().length());
    assertEquals(0, layout().padding());
  }

  @Test
  void findsTensorsByName() {
    ParameterLayout layout = layout("a", Shape.of(3), "b", Shape.of(2, 5));
    assertEquals(new ParameterLayout.Tensor("b", Shape.of(2, 5), 16, 10), layout.tensor("b"));
    assertTrue(layout.contains("a"));
    assertFalse(layout.contains("c"));
    var e = assertThrows(NoSuchElementException.class, () -> layout.tensor("c"));
    Messages.assertContains("'c'", e);
  }

  @Test
  void isEqualToALayoutOfTheSameTensorsInTheSameOrder() {
    ParameterLayout layout = layout("a", Shape.of(3), "b", Shape.of(4));
    assertEquals(layout, layout("a", Shape.of(3), "b", Shape.of(4)));
    assertEquals(layout.hashCode(), layout("a", Shape.of(3), "b", Shape.of(4)).hashCode());
    assertNotEquals(layout, layout("b", Shape.of(4), "a", Shape.of(3)));
    assertNotEquals(layout, layout("a", Shape.of(3), "b", Shape.of(2, 2)));
    assertNotEquals(layout, layout("a", Shape.of(3)));
  }

  @Test
  void refusesAnArenaThatALongCannotAddress() {
    Shape half = Shape.of(1L << 62);
    assertThrows(ArithmeticException.class, () -> layout("a", half, "b", half));
    assertThrows(ArithmeticException.class, () -> layout("a", Shape.of(Long.MAX_VALUE)));
  }
}
