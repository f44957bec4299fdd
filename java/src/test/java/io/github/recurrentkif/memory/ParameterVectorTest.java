package io.github.recurrentkif.memory;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.lang.foreign.MemorySegment;
import java.util.LinkedHashMap;
import java.util.NoSuchElementException;
import java.util.SequencedMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class ParameterVectorTest {

  private static ParameterLayout layout() {
    SequencedMap<String, Shape> shapes = new LinkedHashMap<>();
    shapes.put("a", Shape.of(3));
    shapes.put("b", Shape.of(2, 9));
    return ParameterLayout.of(shapes);
  }

  private static Device device(boolean host) {
    return host ? new HostMemory() : new InvertingDevice();
  }

  private static float[] everything(ParameterVector vector) {
    float[] values = new float[Math.toIntExact(vector.layout().length())];
    vector.device().download(vector.segment(), MemorySegment.ofArray(values));
    return values;
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void isZeroFromTheStart(boolean host) {
    try (ParameterVector vector = new ParameterVector(layout(), device(host))) {
      assertArrayEquals(new float[48], everything(vector));
      assertEquals(0, vector.segment().address() % 64);
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void roundsDoublesThatAreUploaded(boolean host) {
    try (ParameterVector vector = new ParameterVector(layout(), device(host))) {
      vector.upload("a", new double[] {0.1, 1 + 0x1p-25, 1e300});
      assertArrayEquals(new float[] {0.1f, 1, Float.POSITIVE_INFINITY}, vector.download("a"));
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void givesBackWhatWasUploadedAndKeepsTheRest(boolean host) {
    try (ParameterVector vector = new ParameterVector(layout(), device(host))) {
      float[] values = new float[18];
      for (int i = 0; i < values.length; i++) {
        values[i] = 0.5f + i;
      }
      vector.upload("b", MemorySegment.ofArray(values));
      assertArrayEquals(values, vector.download("b"));
      assertArrayEquals(new float[3], vector.download("a"));
      float[] expected = new float[48];
      System.arraycopy(values, 0, expected, 16, values.length);
      assertArrayEquals(expected, everything(vector));
    }
  }

  @Test
  void aSliceIsThatPartOfTheArena() {
    try (ParameterVector vector = new ParameterVector(layout(), new HostMemory())) {
      vector.slice("b").setAtIndex(JAVA_FLOAT, 1, 7);
      assertEquals(7, vector.segment().getAtIndex(JAVA_FLOAT, 17));
      assertEquals(18 * 4, vector.slice("b").byteSize());
    }
  }

  @Test
  void refusesTheWrongNumberOfValues() {
    try (ParameterVector vector = new ParameterVector(layout(), new HostMemory())) {
      var e =
          assertThrows(
              IllegalArgumentException.class,
              () -> vector.upload("b", MemorySegment.ofArray(new float[17])));
      Messages.assertContains("'b' of shape [2, 9] holds 18", e);
      assertThrows(NoSuchElementException.class, () -> vector.download("c"));
    }
  }

  @Test
  void itsMemoryDiesWithIt() {
    ParameterVector vector = new ParameterVector(layout(), new HostMemory());
    vector.close();
    assertThrows(IllegalStateException.class, () -> vector.segment().getAtIndex(JAVA_FLOAT, 0));
  }
}
