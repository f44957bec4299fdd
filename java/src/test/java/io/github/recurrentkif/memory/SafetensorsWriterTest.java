package io.github.recurrentkif.memory;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.SharedFolder;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Random;
import java.util.SequencedMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class SafetensorsWriterTest {

  /** The file that Python's safetensors 0.8.0 writes for {@link #recorded}. */
  private static final String RECORDED =
      "80020000000000007b225f5f6d657461646174615f5f223a7b226e6f7465223a22612f62205c5c20"
          + "5c75303031667f5c74e282ac227d2c22636f756e74223a7b226474797065223a22493634222c2273"
          + "68617065223a5b315d2c22646174615f6f666673657473223a5b302c385d7d2c22612e646f75626c"
          + "65223a7b226474797065223a22463634222c227368617065223a5b315d2c22646174615f6f666673"
          + "657473223a5b382c31365d7d2c22615c225c6ec3a9223a7b226474797065223a22463332222c2273"
          + "68617065223a5b5d2c22646174615f6f666673657473223a5b31362c32305d7d2c22656d70747922"
          + "3a7b226474797065223a22463332222c227368617065223a5b302c345d2c22646174615f6f666673"
          + "657473223a5b32302c32305d7d2c227a223a7b226474797065223a22463332222c22736861706522"
          + "3a5b325d2c22646174615f6f666673657473223a5b32302c32385d7d2c22622f68616c66223a7b22"
          + "6474797065223a22463136222c227368617065223a5b312c335d2c22646174615f6f666673657473"
          + "223a5b32382c33345d7d2c22efbfbf223a7b226474797065223a22493136222c227368617065223a"
          + "5b315d2c22646174615f6f666673657473223a5b33342c33365d7d2c22f0908080223a7b22647479"
          + "7065223a22493136222c227368617065223a5b315d2c22646174615f6f666673657473223a5b3336"
          + "2c33385d7d2c2262797465223a7b226474797065223a225538222c227368617065223a5b315d2c22"
          + "646174615f6f666673657473223a5b33382c33395d7d2c22666c6167223a7b226474797065223a22"
          + "424f4f4c222c227368617065223a5b335d2c22646174615f6f666673657473223a5b33392c34325d"
          + "7d7d202020202020ffffffffffffffff9a9999999999b93f000050400000c03f00000080003c00c1"
          + "ff7b0100020007010001";

  private static final SequencedMap<String, String> NO_METADATA = new LinkedHashMap<>();

  @TempDir Path folder;

  private static StoredTensor tensor(String name, DataType dataType, Shape shape, int... bytes) {
    byte[] content = new byte[bytes.length];
    for (int i = 0; i < bytes.length; i++) {
      content[i] = (byte) bytes[i];
    }
    return new StoredTensor(name, dataType, shape, MemorySegment.ofArray(content));
  }

  private static List<StoredTensor> recorded() {
    return List.of(
        tensor("b/half", DataType.F16, Shape.of(1, 3), 0x00, 0x3c, 0x00, 0xc1, 0xff, 0x7b),
        new StoredTensor(
            "a.double", DataType.F64, Shape.of(1), MemorySegment.ofArray(new double[] {0.1})),
        new StoredTensor(
            "z", DataType.F32, Shape.of(2), MemorySegment.ofArray(new float[] {1.5f, -0f})),
        new StoredTensor(
            "a\"\n\u00e9", DataType.F32, Shape.of(), MemorySegment.ofArray(new float[] {3.25f})),
        new StoredTensor(
            "count", DataType.I64, Shape.of(1), MemorySegment.ofArray(new long[] {-1})),
        tensor("flag", DataType.BOOL, Shape.of(3), 1, 0, 1),
        tensor("empty", DataType.F32, Shape.of(0, 4)),
        tensor("byte", DataType.U8, Shape.of(1), 7),
        // UTF-16 would order these two the other way round.
        tensor("\ud800\udc00", DataType.I16, Shape.of(1), 2, 0),
        tensor("\uffff", DataType.I16, Shape.of(1), 1, 0));
  }

  private static SequencedMap<String, String> recordedMetadata() {
    SequencedMap<String, String> metadata = new LinkedHashMap<>();
    metadata.put("note", "a/b \\ \u001f\u007f\t\u20ac");
    return metadata;
  }

  private List<String> filesLeft() throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.map(file -> file.getFileName().toString()).sorted().toList();
    }
  }

  @Test
  void writesTheBytesThatThePythonPackageWrites() throws IOException {
    Path file = folder.resolve("a.safetensors");
    List<StoredTensor> shuffled = new ArrayList<>(recorded());
    for (int seed = 0; seed < 5; seed++) {
      Collections.shuffle(shuffled, new Random(seed));
      SafetensorsWriter.write(file, shuffled, recordedMetadata());
      assertEquals(RECORDED, HexFormat.of().formatHex(Files.readAllBytes(file)));
    }
    assertEquals(List.of("a.safetensors"), filesLeft());
  }

  @Test
  void readsWhatThePythonPackageWrote() throws IOException {
    Path path =
        Files.write(folder.resolve("python.safetensors"), HexFormat.of().parseHex(RECORDED));
    try (SafetensorsFile file = SafetensorsFile.open(path);
        Arena arena = Arena.ofConfined()) {
      assertEquals(recordedMetadata(), file.metadata());
      assertEquals(10, file.names().size());
      for (StoredTensor expected : recorded()) {
        StoredTensor found = file.tensor(expected.name());
        assertEquals(expected.dataType(), found.dataType());
        assertEquals(expected.shape(), found.shape());
        assertEquals(-1, expected.bytes().mismatch(found.bytes()), expected.name());
      }
      assertArrayEquals(
          new float[] {1, -2.5f, 65504}, file.float32("b/half", arena).toArray(JAVA_FLOAT));
      assertArrayEquals(new float[] {0.1f}, file.float32("a.double", arena).toArray(JAVA_FLOAT));
    }
  }

  @Test
  void aFileWithoutTensorsOrMetadataIsAnEmptyObject() throws IOException {
    Path file = folder.resolve("none.safetensors");
    SafetensorsWriter.write(file, List.of(), NO_METADATA);
    assertEquals(
        "0800000000000000" + "7b7d202020202020",
        HexFormat.of().formatHex(Files.readAllBytes(file)));
  }

  @Test
  void severalMetadataKeepTheirOrder() throws IOException {
    Path file = folder.resolve("metadata.safetensors");
    SequencedMap<String, String> metadata = new LinkedHashMap<>();
    metadata.put("z", "1");
    metadata.put("a", "2");
    SafetensorsWriter.write(file, List.of(), metadata);
    try (SafetensorsFile read = SafetensorsFile.open(file)) {
      assertEquals(List.copyOf(metadata.entrySet()), List.copyOf(read.metadata().entrySet()));
    }
  }

  @Test
  void tensorsLargerThanAChunkAreWrittenWhole() throws IOException {
    long[] values = new Random(1).longs((8 << 20) / 8 * 2 + 5).toArray();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment outsideTheHeap = arena.allocateFrom(JAVA_LONG, values);
      Path file = folder.resolve("large.safetensors");
      Shape shape = Shape.of(values.length);
      SafetensorsWriter.write(
          file,
          List.of(
              new StoredTensor("heap", DataType.I64, shape, MemorySegment.ofArray(values)),
              new StoredTensor("native", DataType.I64, shape, outsideTheHeap)),
          NO_METADATA);
      try (SafetensorsFile read = SafetensorsFile.open(file)) {
        assertEquals(-1, outsideTheHeap.mismatch(read.tensor("heap").bytes()));
        assertEquals(-1, outsideTheHeap.mismatch(read.tensor("native").bytes()));
      }
    }
  }

  @Test
  void aFileThatIsOpenKeepsItsOldContentWhenItIsReplaced() throws IOException {
    Path path = folder.resolve("live.safetensors");
    SafetensorsWriter.write(path, List.of(tensor("w", DataType.U8, Shape.of(1), 1)), NO_METADATA);
    try (SafetensorsFile old = SafetensorsFile.open(path)) {
      SafetensorsWriter.write(path, List.of(tensor("w", DataType.U8, Shape.of(1), 2)), NO_METADATA);
      assertEquals(1, old.tensor("w").bytes().get(JAVA_BYTE, 0));
      try (SafetensorsFile fresh = SafetensorsFile.open(path)) {
        assertEquals(2, fresh.tensor("w").bytes().get(JAVA_BYTE, 0));
      }
    }
  }

  @Test
  void refusesNamesThatTheFormatCannotHold() throws IOException {
    Path file = folder.resolve("bad.safetensors");
    for (List<StoredTensor> tensors :
        List.of(
            List.of(tensor("__metadata__", DataType.U8, Shape.of(1), 1)),
            List.of(tensor("\ud800", DataType.U8, Shape.of(1), 1)),
            List.of(
                tensor("w", DataType.U8, Shape.of(1), 1),
                tensor("w", DataType.I8, Shape.of(1), 1)))) {
      assertThrows(
          IllegalArgumentException.class,
          () -> SafetensorsWriter.write(file, tensors, NO_METADATA));
    }
    SequencedMap<String, String> metadata = new LinkedHashMap<>();
    metadata.put("k", "\udc00");
    assertThrows(
        IllegalArgumentException.class, () -> SafetensorsWriter.write(file, List.of(), metadata));
    assertEquals(List.of(), filesLeft());
  }

  @Test
  void refusesATensorWhoseBytesDoNotFitItsShape() {
    var e =
        assertThrows(
            IllegalArgumentException.class, () -> tensor("w", DataType.F32, Shape.of(2), 1, 2, 3));
    assertEquals("tensor 'w' of F32 [2] takes 8 bytes, got 3", e.getMessage());
  }

  @Test
  void aFailureHalfWayLeavesTheOldFileAndNothingElse() throws IOException {
    Path path = folder.resolve("kept.safetensors");
    SafetensorsWriter.write(path, List.of(tensor("w", DataType.U8, Shape.of(1), 1)), NO_METADATA);
    byte[] before = Files.readAllBytes(path);
    StoredTensor dead;
    try (Arena arena = Arena.ofConfined()) {
      dead = new StoredTensor("x", DataType.U8, Shape.of(1), arena.allocate(1));
    }
    assertThrows(
        IllegalStateException.class,
        () ->
            SafetensorsWriter.write(
                path, List.of(tensor("a", DataType.U8, Shape.of(1), 1), dead), NO_METADATA));
    assertArrayEquals(before, Files.readAllBytes(path));
    assertEquals(List.of("kept.safetensors"), filesLeft());
  }

  @Test
  void rewritingTheFilesOfThePythonPackageReproducesThem() throws IOException {
    Path golden = SharedFolder.resolve("golden");
    List<Path> files;
    try (Stream<Path> walk = Files.walk(golden)) {
      files = walk.filter(file -> file.toString().endsWith(".safetensors")).sorted().toList();
    }
    assertTrue(files.size() >= 20, "only " + files.size() + " files in " + golden);
    Path copy = folder.resolve("copy.safetensors");
    for (Path original : files) {
      try (SafetensorsFile file = SafetensorsFile.open(original)) {
        List<StoredTensor> tensors = new ArrayList<>(file.tensors());
        Collections.reverse(tensors);
        SafetensorsWriter.write(copy, tensors, file.metadata());
      }
      assertEquals(-1, Files.mismatch(original, copy), original.toString());
    }
  }

  @Test
  void modelFoldersOfTransformersAreRead() throws IOException {
    try (SafetensorsFolder model =
            SafetensorsFolder.open(SharedFolder.resolve("golden/hf/llama-gqa-tied"));
        Arena arena = Arena.ofConfined()) {
      assertEquals(Shape.of(800, 64), model.shape("model.embed_tokens.weight"));
      assertTrue(model.float32("model.embed_tokens.weight", arena).isMapped());
    }
  }
}
