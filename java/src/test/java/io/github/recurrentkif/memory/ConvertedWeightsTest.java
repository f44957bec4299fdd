package io.github.recurrentkif.memory;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

final class ConvertedWeightsTest {

  private static final short[] HALVES = {0x3c00, (short) 0xc100, 0x0001, 0x7bff};
  private static final float[] HALVES_AS_FLOATS = {1, -2.5f, 0x1p-24f, 65504};
  private static final short[] BRAIN = {0x3f80, (short) 0xc020, 0x0001, 0x7f7f};
  private static final float[] BRAIN_AS_FLOATS = {1, -2.5f, 0x1p-133f, 0x1.fep127f};

  @TempDir private Path temporary;

  private Path model() throws IOException {
    return write(
        new StoredTensor("half", DataType.F16, Shape.of(2, 2), MemorySegment.ofArray(HALVES)),
        new StoredTensor("brain", DataType.BF16, Shape.of(4), MemorySegment.ofArray(BRAIN)),
        new StoredTensor(
            "double",
            DataType.F64,
            Shape.of(2),
            MemorySegment.ofArray(new double[] {0.1, 1 + 0x1p-30})),
        new StoredTensor(
            "single", DataType.F32, Shape.of(1), MemorySegment.ofArray(new float[] {7})),
        new StoredTensor(
            "count", DataType.I64, Shape.of(1), MemorySegment.ofArray(new long[] {7})));
  }

  private Path write(StoredTensor... tensors) throws IOException {
    Path folder = Files.createDirectories(temporary.resolve("model"));
    SafetensorsWriter.write(
        folder.resolve(SafetensorsFolder.SINGLE), List.of(tensors), new LinkedHashMap<>());
    return folder;
  }

  private Path cache() {
    return temporary.resolve("cache");
  }

  private Path convertedPath(Path model) throws IOException {
    try (SafetensorsFolder source = SafetensorsFolder.open(model);
        SafetensorsFile converted = ConvertedWeights.open(source, cache())) {
      return converted.path();
    }
  }

  @Test
  void holdsWhatIsNotFloat32InPlace() throws IOException {
    try (SafetensorsFolder source = SafetensorsFolder.open(model());
        SafetensorsFile converted = ConvertedWeights.open(source, cache());
        Arena arena = Arena.ofConfined()) {
      assertEquals(List.of("brain", "double", "half"), converted.names());
      assertEquals(Shape.of(2, 2), converted.shape("half"));
      assertArrayEquals(HALVES_AS_FLOATS, converted.float32("half", arena).toArray(JAVA_FLOAT));
      assertArrayEquals(BRAIN_AS_FLOATS, converted.float32("brain", arena).toArray(JAVA_FLOAT));
      assertArrayEquals(
          new float[] {0.1f, 1}, converted.float32("double", arena).toArray(JAVA_FLOAT));
      converted.names().forEach(name -> assertTrue(converted.isFloat32InPlace(name), name));
      assertTrue(source.isFloat32InPlace("single"));
      assertFalse(source.isFloat32InPlace("half"));
    }
  }

  @Test
  void convertsATensorLargerThanOneStepInOrder() throws IOException {
    int elements = 5_000_011;
    short[] stored = new short[elements];
    for (int i = 0; i < elements; i++) {
      stored[i] = (short) (0x3f00 + i % 251);
    }
    Path model =
        write(
            new StoredTensor(
                "w", DataType.BF16, Shape.of(elements), MemorySegment.ofArray(stored)));
    try (SafetensorsFolder source = SafetensorsFolder.open(model);
        SafetensorsFile converted = ConvertedWeights.open(source, cache());
        Arena arena = Arena.ofConfined()) {
      assertEquals(-1, source.float32("w", arena).mismatch(converted.float32("w", arena)));
    }
  }

  @Test
  void isWrittenOnce() throws IOException {
    Path model = model();
    Path file = convertedPath(model);
    FileTime longAgo = FileTime.from(Instant.parse("2020-01-01T00:00:00Z"));
    Files.setLastModifiedTime(file, longAgo);
    assertEquals(file, convertedPath(model));
    assertEquals(longAgo, Files.getLastModifiedTime(file));
  }

  @Test
  void otherWeightsAreAnotherFile() throws IOException {
    Path model = model();
    Path first = convertedPath(model);
    Files.setLastModifiedTime(
        model.resolve(SafetensorsFolder.SINGLE),
        FileTime.from(Instant.parse("2020-01-01T00:00:00Z")));
    assertNotEquals(first, convertedPath(model));
  }

  @Test
  void aDamagedFileIsMadeAgain() throws IOException {
    Path model = model();
    Path file = convertedPath(model);
    byte[] whole = Files.readAllBytes(file);
    Files.write(file, new byte[100]);
    convertedPath(model);
    assertArrayEquals(whole, Files.readAllBytes(file));
  }

  @Test
  void aCacheThatCannotBeWrittenIsNamed() throws IOException {
    Files.writeString(cache(), "a file where a folder should be");
    try (SafetensorsFolder source = SafetensorsFolder.open(model())) {
      var e = assertThrows(IOException.class, () -> ConvertedWeights.open(source, cache()));
      Messages.assertContains(CacheFolder.VARIABLE, e);
      Messages.assertContains("float32", e);
    }
  }

  /** No page is copied: what a second process maps is in memory already. */
  @Test
  @EnabledOnOs(OS.LINUX)
  void pagesAreSharedWithOtherProcesses() throws IOException, InterruptedException {
    int elements = 1 << 20;
    Path model =
        write(
            new StoredTensor(
                "w",
                DataType.BF16,
                Shape.of(elements),
                MemorySegment.ofArray(new short[elements])));
    try (SafetensorsFolder source = SafetensorsFolder.open(model);
        SafetensorsFile converted = ConvertedWeights.open(source, cache());
        Arena arena = Arena.ofConfined()) {
      double sum = 0;
      for (float weight : converted.float32("w", arena).toArray(JAVA_FLOAT)) {
        sum += weight;
      }
      assertEquals(0, sum);
      Mapping here = mapping(converted.path());
      assertTrue(here.rss() >= 4096, "all of it is in memory: " + here);
      assertEquals(0, here.privateDirty(), "none of it is our own: " + here);
      Process other =
          new ProcessBuilder(
                  Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                  "-cp",
                  System.getProperty("java.class.path"),
                  SecondProcess.class.getName(),
                  converted.path().toString())
              .redirectError(ProcessBuilder.Redirect.INHERIT)
              .start();
      try (var out = other.inputReader()) {
        assertEquals("ready", out.readLine());
        Mapping together = mapping(converted.path());
        assertTrue(together.pss() < 0.6 * together.rss(), "halved: " + together);
        other.getOutputStream().close();
        assertEquals(0, other.waitFor());
      } finally {
        other.destroy();
      }
    }
  }

  /** Maps a file, touches all of it, and waits for its input to end. */
  static final class SecondProcess {
    public static void main(String[] arguments) throws IOException {
      try (SafetensorsFile file = SafetensorsFile.open(Path.of(arguments[0]));
          Arena arena = Arena.ofConfined()) {
        float[] touched = file.float32("w", arena).toArray(JAVA_FLOAT);
        System.out.println(touched.length > 0 ? "ready" : "empty");
        while (System.in.read() >= 0) {}
      }
    }
  }

  /** What /proc says about this process's mapping of a file, in kB. */
  private record Mapping(long rss, long pss, long privateDirty) {}

  private static Mapping mapping(Path file) throws IOException {
    Map<String, Long> sizes = new TreeMap<>();
    boolean within = false;
    for (String line : Files.readAllLines(Path.of("/proc/self/smaps"))) {
      String[] words = line.split("\\s+", -1);
      if (words[0].contains("-")) {
        within = line.endsWith(file.toString());
      } else if (within && words.length == 3 && words[2].equals("kB")) {
        sizes.merge(words[0].replace(":", ""), Long.valueOf(words[1]), Long::sum);
      }
    }
    assertFalse(sizes.isEmpty(), file + " is not mapped");
    return new Mapping(
        sizes.getOrDefault("Rss", 0L),
        sizes.getOrDefault("Pss", 0L),
        sizes.getOrDefault("Private_Dirty", -1L));
  }
}
