package io.github.recurrentkif.memory;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.SequencedMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class VectorFileTest {

  @TempDir Path folder;

  private static ParameterLayout layout(String first, Shape firstShape) {
    SequencedMap<String, Shape> shapes = new LinkedHashMap<>();
    shapes.put(first, firstShape);
    shapes.put("b", Shape.of(2, 9));
    return ParameterLayout.of(shapes);
  }

  private static ParameterLayout layout() {
    return layout("a", Shape.of(3));
  }

  private static Device device(boolean host) {
    return host ? new HostMemory() : new InvertingDevice();
  }

  private static float[] values(int count, float first) {
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = first + i;
    }
    return values;
  }

  private static ParameterVector vector(ParameterLayout layout, Device device, float first) {
    ParameterVector vector = new ParameterVector(layout, device);
    for (ParameterLayout.Tensor tensor : layout.tensors()) {
      vector.upload(
          tensor.name(), MemorySegment.ofArray(values(Math.toIntExact(tensor.elements()), first)));
    }
    return vector;
  }

  private static SequencedMap<String, ParameterVector> named(Object... namesAndVectors) {
    SequencedMap<String, ParameterVector> vectors = new LinkedHashMap<>();
    for (int i = 0; i < namesAndVectors.length; i += 2) {
      vectors.put((String) namesAndVectors[i], (ParameterVector) namesAndVectors[i + 1]);
    }
    return vectors;
  }

  private static SequencedMap<String, String> metadata(String... keysAndValues) {
    SequencedMap<String, String> metadata = new LinkedHashMap<>();
    for (int i = 0; i < keysAndValues.length; i += 2) {
      metadata.put(keysAndValues[i], keysAndValues[i + 1]);
    }
    return metadata;
  }

  private static void assertRefused(Path path, String name, ParameterLayout layout, String problem)
      throws IOException {
    try (VectorFile file = VectorFile.open(path);
        ParameterVector target = vector(layout, new HostMemory(), 70)) {
      float[] before = target.segment().toArray(JAVA_FLOAT);
      var e = assertThrows(IOException.class, () -> file.read(name, target));
      Messages.assertStartsWith(path + ": ", e);
      Messages.assertContains(problem, e);
      assertArrayEquals(before, target.segment().toArray(JAVA_FLOAT));
    }
  }

  @ParameterizedTest
  @CsvSource({"true,true", "true,false", "false,true", "false,false"})
  void vectorsComeBackOnAnyDevice(boolean fromHost, boolean toHost) throws IOException {
    Path path = folder.resolve("checkpoint.safetensors");
    try (ParameterVector weights = vector(layout(), device(fromHost), 1);
        ParameterVector moment = vector(layout(), device(fromHost), -50)) {
      VectorFile.write(
          path, named("weights", weights, "adam/first", moment), metadata("step", "7"));
    }
    try (VectorFile file = VectorFile.open(path);
        ParameterVector target = new ParameterVector(layout(), device(toHost))) {
      assertEquals(List.of("adam/first", "weights"), file.names());
      assertEquals("7", file.metadata().get("step"));
      file.read("weights", target);
      assertArrayEquals(values(3, 1), target.download("a"));
      assertArrayEquals(values(18, 1), target.download("b"));
      file.read("adam/first", target);
      assertArrayEquals(values(3, -50), target.download("a"));
      assertArrayEquals(values(18, -50), target.download("b"));
    }
  }

  @Test
  void aVectorIsOneFlatTensorWithItsPadding() throws IOException {
    Path path = folder.resolve("flat.safetensors");
    try (ParameterVector weights = vector(layout(), new InvertingDevice(), 1)) {
      VectorFile.write(path, named("weights", weights), metadata());
    }
    try (SafetensorsFile file = SafetensorsFile.open(path)) {
      assertEquals(Shape.of(48), file.shape("weights"));
      float[] expected = new float[48];
      System.arraycopy(values(3, 1), 0, expected, 0, 3);
      System.arraycopy(values(18, 1), 0, expected, 16, 18);
      assertArrayEquals(expected, file.tensor("weights").bytes().toArray(JAVA_FLOAT));
    }
  }

  @Test
  void anotherLengthIsRefused() throws IOException {
    Path path = folder.resolve("length.safetensors");
    try (ParameterVector weights = vector(layout(), new HostMemory(), 1)) {
      VectorFile.write(path, named("weights", weights), metadata());
    }
    assertRefused(
        path,
        "weights",
        layout("a", Shape.of(30)),
        "'weights' is F32 [48], expected F32 [64] for a layout of 2 tensors, 48 elements");
  }

  @Test
  void otherTensorsOfTheSameLengthAreRefused() throws IOException {
    Path path = folder.resolve("other.safetensors");
    try (ParameterVector weights = vector(layout(), new HostMemory(), 1)) {
      VectorFile.write(path, named("weights", weights), metadata());
    }
    assertRefused(path, "weights", layout("c", Shape.of(3)), "belong to other tensors");
    assertRefused(path, "weights", layout("a", Shape.of(1, 3)), "belong to other tensors");
  }

  @Test
  void anotherDataTypeIsRefused() throws IOException {
    Path path = folder.resolve("type.safetensors");
    SafetensorsWriter.write(
        path,
        List.of(
            new StoredTensor(
                "w", DataType.I32, Shape.of(48), MemorySegment.ofArray(new float[48]))),
        metadata());
    assertRefused(path, "w", layout(), "'w' is I32 [48], expected F32 [48]");
  }

  @Test
  void paddingThatIsNotZeroIsRefused() throws IOException {
    Path path = folder.resolve("padding.safetensors");
    for (int dirty : new int[] {3, 15, 34, 47}) {
      float[] values = new float[48];
      values[5] = -0f;
      values[dirty] = Float.NaN;
      SafetensorsWriter.write(
          path,
          List.of(new StoredTensor("w", DataType.F32, Shape.of(48), MemorySegment.ofArray(values))),
          metadata());
      assertRefused(path, "w", layout(), "element " + dirty + " of 'w' belongs to no tensor");
    }
  }

  @Test
  void aFileWithoutFingerprintIsJudgedByItsLength() throws IOException {
    Path path = folder.resolve("foreign.safetensors");
    SafetensorsWriter.write(
        path,
        List.of(
            new StoredTensor(
                "w", DataType.F32, Shape.of(48), MemorySegment.ofArray(new float[48]))),
        metadata());
    try (VectorFile file = VectorFile.open(path);
        ParameterVector target = vector(layout(), new HostMemory(), 1)) {
      file.read("w", target);
      assertArrayEquals(new float[48], target.segment().toArray(JAVA_FLOAT));
      assertThrows(NoSuchElementException.class, () -> file.read("v", target));
    }
  }

  @Test
  void vectorsOfOneFileShareALayout() throws IOException {
    Path path = folder.resolve("mixed.safetensors");
    try (ParameterVector one = vector(layout(), new HostMemory(), 1);
        ParameterVector other = vector(layout("c", Shape.of(3)), new HostMemory(), 1)) {
      assertThrows(
          IllegalArgumentException.class,
          () -> VectorFile.write(path, named("one", one, "other", other), metadata()));
      assertThrows(
          IllegalArgumentException.class, () -> VectorFile.write(path, named(), metadata()));
      assertThrows(
          IllegalArgumentException.class,
          () -> VectorFile.write(path, named("one", one), metadata(VectorFile.LAYOUT, "x")));
    }
    assertTrue(Files.notExists(path));
  }

  @Test
  void aDeviceThatFailsLeavesNoFile() throws IOException {
    Device failing =
        new Device() {
          @Override
          public String name() {
            return "failing";
          }

          @Override
          public MemorySegment allocate(long bytes, Arena arena) {
            return arena.allocate(bytes);
          }

          @Override
          public void upload(MemorySegment host, MemorySegment device) {
            throw new IllegalStateException("lost");
          }

          @Override
          public void copy(MemorySegment source, MemorySegment target) {
            throw new IllegalStateException("lost");
          }

          @Override
          public void download(MemorySegment device, MemorySegment host) {
            throw new IllegalStateException("lost");
          }
        };
    try (ParameterVector weights = new ParameterVector(layout(), failing)) {
      assertThrows(
          IllegalStateException.class,
          () ->
              VectorFile.write(
                  folder.resolve("x.safetensors"), named("weights", weights), metadata()));
    }
    try (Stream<Path> files = Files.list(folder)) {
      assertEquals(0, files.count());
    }
  }
}
