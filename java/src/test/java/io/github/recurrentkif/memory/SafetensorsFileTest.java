package io.github.recurrentkif.memory;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class SafetensorsFileTest {

  @TempDir Path folder;

  /** Writes a header as it is given, unpadded, and the data behind it. */
  static Path write(Path file, String header, byte[] data) throws IOException {
    byte[] json = header.getBytes(StandardCharsets.UTF_8);
    return Files.write(
        file,
        ByteBuffer.allocate(8 + json.length + data.length)
            .order(ByteOrder.LITTLE_ENDIAN)
            .putLong(json.length)
            .put(json)
            .put(data)
            .array());
  }

  private static byte[] bytesOf(ByteBuffer filled) {
    byte[] bytes = new byte[filled.position()];
    filled.flip().get(bytes);
    return bytes;
  }

  private static ByteBuffer buffer(int bytes) {
    return ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
  }

  @Test
  void listsTensorsInTheOrderOfTheirBytes() throws IOException {
    Path path =
        write(
            folder.resolve("order.safetensors"),
            """
            {"second":{"dtype":"I16","shape":[1],"data_offsets":[8,10]},
            "__metadata__":{"z":"1","a":"é"},
            "first":{"dtype":"U8","shape":[2,4],"data_offsets":[0,8]},
            "none":{"dtype":"F64","shape":[3,0],"data_offsets":[8,8]}}
            """,
            new byte[] {0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
    try (SafetensorsFile file = SafetensorsFile.open(path)) {
      assertEquals(List.of("first", "none", "second"), file.names());
      assertEquals(DataType.U8, file.dataType("first"));
      assertEquals(Shape.of(2, 4), file.shape("first"));
      assertArrayEquals(
          new byte[] {0, 1, 2, 3, 4, 5, 6, 7}, file.tensor("first").bytes().toArray(JAVA_BYTE));
      assertArrayEquals(new byte[] {8, 9}, file.tensor("second").bytes().toArray(JAVA_BYTE));
      assertEquals(0, file.tensor("none").bytes().byteSize());
      assertEquals(
          List.of(Map.entry("z", "1"), Map.entry("a", "é")),
          List.copyOf(file.metadata().entrySet()));
      assertTrue(file.contains("none"));
      assertFalse(file.contains("third"));
    }
  }

  @Test
  void aFileMayBeEmptyOfTensors() throws IOException {
    try (SafetensorsFile file =
        SafetensorsFile.open(write(folder.resolve("none.safetensors"), "{}", new byte[0]))) {
      assertEquals(List.of(), file.names());
      assertEquals(Map.of(), file.metadata());
    }
  }

  @Test
  void float32LiesInPlaceReadOnly() throws IOException {
    // 56 bytes: the data is aligned.
    Path path =
        write(
            folder.resolve("place.safetensors"),
            "{\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}  ",
            bytesOf(buffer(8).putFloat(1.5f).putFloat(-2)));
    try (SafetensorsFile file = SafetensorsFile.open(path);
        Arena arena = Arena.ofConfined()) {
      MemorySegment values = file.float32("w", arena);
      assertEquals(file.tensor("w").bytes().address(), values.address());
      assertTrue(values.isReadOnly());
      assertTrue(values.isMapped());
      assertArrayEquals(new float[] {1.5f, -2}, values.toArray(JAVA_FLOAT));
      assertThrows(IllegalArgumentException.class, () -> values.setAtIndex(JAVA_FLOAT, 0, 1));
    }
  }

  @Test
  void misalignedFloat32IsCopied() throws IOException {
    String header = "{\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}";
    for (int spaces = 1; spaces < 4; spaces++) {
      Path path =
          write(
              folder.resolve("crooked" + spaces),
              header + " ".repeat(Math.floorMod(-header.length(), 4) + spaces),
              bytesOf(buffer(8).putFloat(1.5f).putFloat(-2)));
      try (SafetensorsFile file = SafetensorsFile.open(path);
          Arena arena = Arena.ofConfined()) {
        MemorySegment values = file.float32("w", arena);
        assertNotEquals(file.tensor("w").bytes().address(), values.address());
        assertEquals(0, values.address() % 4);
        assertArrayEquals(new float[] {1.5f, -2}, values.toArray(JAVA_FLOAT));
      }
    }
  }

  @Test
  void everyFloat16IsConvertedExactly() throws IOException {
    ByteBuffer stored = buffer(2 << 16);
    float[] expected = new float[1 << 16];
    for (int bits = 0; bits < expected.length; bits++) {
      stored.putShort((short) bits);
      int exponent = bits >> 10 & 0x1f;
      int fraction = bits & 0x3ff;
      float magnitude =
          switch (exponent) {
            case 0 -> Math.scalb((float) fraction, -24);
            case 31 -> fraction == 0 ? Float.POSITIVE_INFINITY : Float.NaN;
            default -> Math.scalb((float) (1024 + fraction), exponent - 25);
          };
      expected[bits] = bits < 0x8000 ? magnitude : -magnitude;
    }
    assertConverted("F16", bytesOf(stored), expected);
  }

  @Test
  void everyBfloat16IsConvertedExactly() throws IOException {
    ByteBuffer stored = buffer(2 << 16);
    float[] expected = new float[1 << 16];
    for (int bits = 0; bits < expected.length; bits++) {
      stored.putShort((short) bits);
      expected[bits] = buffer(4).putShort((short) 0).putShort((short) bits).getFloat(0);
    }
    assertConverted("BF16", bytesOf(stored), expected);
  }

  @Test
  void float64IsRoundedToTheNearestFloat() throws IOException {
    double oneUlp = Math.ulp(1f);
    double[] values = {
      0.1, -0.0, 1 + oneUlp / 2, 1 + 3 * oneUlp / 2, 1e300, Double.MIN_VALUE, Double.NaN, 1e-40
    };
    ByteBuffer stored = buffer(8 * values.length);
    for (double value : values) {
      stored.putDouble(value);
    }
    assertConverted(
        "F64",
        bytesOf(stored),
        new float[] {
          0.1f,
          -0f,
          1f,
          Math.nextUp(Math.nextUp(1f)),
          Float.POSITIVE_INFINITY,
          0f,
          Float.NaN,
          1e-40f
        });
  }

  @Test
  void tensorsLargerThanAChunkAreConvertedWhole() throws IOException {
    int count = (1 << 20) * 2 + 3;
    ByteBuffer half = buffer(2 * count);
    ByteBuffer brain = buffer(2 * count);
    ByteBuffer wide = buffer(8 * count);
    float[] expected = new float[count];
    for (int i = 0; i < count; i++) {
      expected[i] = i % 251; // exact in all three
      half.putShort(Float.floatToFloat16(expected[i]));
      brain.putShort((short) (Float.floatToRawIntBits(expected[i]) >> 16));
      wide.putDouble(expected[i]);
    }
    assertConverted("F16", bytesOf(half), expected);
    assertConverted("BF16", bytesOf(brain), expected);
    assertConverted("F64", bytesOf(wide), expected);
  }

  private void assertConverted(String dataType, byte[] stored, float[] expected)
      throws IOException {
    String header =
        "{\"w\":{\"dtype\":\"%s\",\"shape\":[%d],\"data_offsets\":[0,%d]}}"
            .formatted(dataType, expected.length, stored.length);
    // An odd header: elements wider than a byte are misaligned.
    Path path =
        write(
            folder.resolve(dataType),
            header + " ".repeat(header.length() % 2 == 0 ? 1 : 0),
            stored);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment values;
      try (SafetensorsFile file = SafetensorsFile.open(path)) {
        values = file.float32("w", arena);
      }
      // The arena's memory outlives the file.
      assertArrayEquals(expected, values.toArray(JAVA_FLOAT));
      for (int i = 0; i < expected.length; i++) {
        if (expected[i] == 0) {
          assertEquals(
              Float.floatToRawIntBits(expected[i]),
              Float.floatToRawIntBits(values.getAtIndex(JAVA_FLOAT, i)));
        }
      }
    }
  }

  @Test
  void otherTypesAreRawBytesOnly() throws IOException {
    for (DataType dataType : DataType.values()) {
      long size = dataType.bytes(Shape.of(8));
      Path path =
          write(
              folder.resolve(dataType + ".safetensors"),
              "{\"w\":{\"dtype\":\"%s\",\"shape\":[8],\"data_offsets\":[0,%d]}}"
                  .formatted(dataType, size),
              new byte[(int) size]);
      try (SafetensorsFile file = SafetensorsFile.open(path);
          Arena arena = Arena.ofConfined()) {
        assertEquals(size, file.tensor("w").bytes().byteSize());
        switch (dataType) {
          case F16, BF16, F32, F64 ->
              assertArrayEquals(new float[8], file.float32("w", arena).toArray(JAVA_FLOAT));
          default -> {
            var e = assertThrows(IllegalArgumentException.class, () -> file.float32("w", arena));
            assertEquals(
                "tensor 'w' of " + path + " holds " + dataType + ", expected F32, F16, BF16 or F64",
                e.getMessage());
          }
        }
      }
    }
  }

  @Test
  void anUnknownNameIsAnErrorThatNamesTheFile() throws IOException {
    Path path = write(folder.resolve("none.safetensors"), "{}", new byte[0]);
    try (SafetensorsFile file = SafetensorsFile.open(path)) {
      var e = assertThrows(NoSuchElementException.class, () -> file.shape("w"));
      Messages.assertContains("'w'", e);
      Messages.assertContains(path.toString(), e);
    }
  }

  @Test
  void aMissingFileOrAFolderIsAnErrorThatNamesIt() {
    Path missing = folder.resolve("missing.safetensors");
    var e = assertThrows(NoSuchFileException.class, () -> SafetensorsFile.open(missing));
    Messages.assertContains(missing.toString(), e);
    var f = assertThrows(IOException.class, () -> SafetensorsFile.open(folder));
    Messages.assertContains(folder + " is a folder", f);
  }

  @Test
  void segmentsDieWithTheFileAndThreadsShareThem() throws IOException {
    Path path =
        write(
            folder.resolve("life.safetensors"),
            "{\"w\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}",
            new byte[] {42});
    MemorySegment bytes;
    try (SafetensorsFile file = SafetensorsFile.open(path)) {
      bytes = file.tensor("w").bytes();
      assertEquals((byte) 42, CompletableFuture.supplyAsync(() -> bytes.get(JAVA_BYTE, 0)).join());
    }
    assertThrows(IllegalStateException.class, () -> bytes.get(JAVA_BYTE, 0));
  }

  @Test
  void filesBeyondTwoGibibytesAreMappedWhole() throws IOException {
    long elements = 600_000_000; // 2.24 GiB
    long size = elements * 4;
    assumeTrue(
        Files.getFileStore(folder).getUsableSpace() > size,
        "SKIPPED: less than 2.4 GB of free disk for a file beyond 2 GiB");
    String header =
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[%d],\"data_offsets\":[0,%d]},"
                .formatted(elements, size)
            + "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[%d,%d]}}"
                .formatted(size, size + 4);
    header += " ".repeat(Math.floorMod(-header.length(), 8));
    Path path = folder.resolve("large.safetensors");
    try (FileChannel channel =
        FileChannel.open(
            path,
            StandardOpenOption.CREATE_NEW,
            StandardOpenOption.WRITE,
            StandardOpenOption.SPARSE)) {
      channel.write(
          buffer(8 + header.length())
              .putLong(header.length())
              .put(header.getBytes(StandardCharsets.UTF_8))
              .flip());
      channel.write(buffer(8).putFloat(5).putFloat(6).flip(), 8 + header.length() + size - 4);
    }
    try (SafetensorsFile file = SafetensorsFile.open(path);
        Arena arena = Arena.ofConfined()) {
      MemorySegment a = file.float32("a", arena);
      assertEquals(size, a.byteSize());
      assertEquals(0, a.getAtIndex(JAVA_FLOAT, elements - 2));
      assertEquals(5, a.getAtIndex(JAVA_FLOAT, elements - 1));
      assertEquals(6, file.float32("b", arena).getAtIndex(JAVA_FLOAT, 0));
    }
  }
}
