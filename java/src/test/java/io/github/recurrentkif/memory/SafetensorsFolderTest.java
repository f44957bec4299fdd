package io.github.recurrentkif.memory;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.NoSuchElementException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class SafetensorsFolderTest {

  private static final String FIRST = "model-00001-of-00002.safetensors";
  private static final String SECOND = "model-00002-of-00002.safetensors";

  @TempDir Path folder;

  /** Writes a file of bytes: every tensor is named by its one element. */
  private void writeShard(String file, String... tensors) throws IOException {
    SafetensorsWriter.write(
        folder.resolve(file),
        Arrays.stream(tensors)
            .map(
                name ->
                    new StoredTensor(
                        name,
                        DataType.U8,
                        Shape.of(1),
                        MemorySegment.ofArray(new byte[] {(byte) name.charAt(0)})))
            .toList(),
        new LinkedHashMap<>());
  }

  private Path writeIndex(String json) throws IOException {
    return Files.writeString(folder.resolve(SafetensorsFolder.INDEX), json);
  }

  private void assertMalformed(Path file, String problem) {
    var e = assertThrows(MalformedSafetensorsException.class, () -> SafetensorsFolder.open(folder));
    Messages.assertStartsWith(file + " is malformed: ", e);
    Messages.assertContains(problem, e);
  }

  @Test
  void readsASingleFile() throws IOException {
    SafetensorsWriter.write(
        folder.resolve(SafetensorsFolder.SINGLE),
        List.of(
            new StoredTensor(
                "w", DataType.F32, Shape.of(2), MemorySegment.ofArray(new float[] {1, 2}))),
        new LinkedHashMap<>());
    writeIndex("not even read");
    try (SafetensorsFolder source = SafetensorsFolder.open(folder);
        Arena arena = Arena.ofConfined()) {
      assertEquals(List.of("w"), source.names());
      assertArrayEquals(new float[] {1, 2}, source.float32("w", arena).toArray(JAVA_FLOAT));
    }
  }

  @Test
  void readsShardsInTheOrderOfTheirNames() throws IOException {
    writeShard(FIRST, "b", "d");
    writeShard(SECOND, "a", "c");
    writeIndex(
        """
        {"metadata": {"total_size": 4, "note": [1, null]},
         "weight_map": {"a": "%2$s", "b": "%1$s", "c": "%2$s", "d": "%1$s"}}
        """
            .formatted(FIRST, SECOND));
    MemorySegment bytes;
    try (SafetensorsFolder source = SafetensorsFolder.open(folder)) {
      assertEquals(List.of("b", "d", "a", "c"), source.names());
      for (String name : source.names()) {
        assertEquals(DataType.U8, source.dataType(name));
        assertEquals(Shape.of(1), source.shape(name));
        assertEquals(name.charAt(0), source.tensor(name).bytes().get(JAVA_BYTE, 0));
      }
      assertTrue(source.contains("c"));
      assertFalse(source.contains("e"));
      var e = assertThrows(NoSuchElementException.class, () -> source.tensor("e"));
      Messages.assertContains(folder.toString(), e);
      var f =
          assertThrows(IllegalArgumentException.class, () -> source.float32("a", Arena.ofAuto()));
      Messages.assertContains(SECOND, f);
      bytes = source.tensor("a").bytes();
    }
    assertThrows(IllegalStateException.class, () -> bytes.get(JAVA_BYTE, 0));
  }

  @Test
  void aTensorTheIndexDoesNotNameIsNotSeen() throws IOException {
    writeShard(FIRST, "a", "b");
    writeIndex("{\"weight_map\":{\"a\":\"" + FIRST + "\"}}");
    try (SafetensorsFolder source = SafetensorsFolder.open(folder)) {
      assertEquals(List.of("a"), source.names());
      assertFalse(source.contains("b"));
    }
  }

  @Test
  void aFolderWithoutEitherIsAnErrorThatSaysWhatToDo() {
    var e = assertThrows(NoSuchFileException.class, () -> SafetensorsFolder.open(folder));
    Messages.assertContains(folder.toString(), e);
    Messages.assertContains("neither model.safetensors nor", e);
  }

  @Test
  void aShardThatIsMissing() throws IOException {
    writeShard(FIRST, "a");
    Path index =
        writeIndex("{\"weight_map\":{\"a\":\"%s\",\"b\":\"%s\"}}".formatted(FIRST, SECOND));
    assertMalformed(index, "names the file '" + SECOND + "', which is missing");
  }

  @Test
  void aTensorThatItsShardDoesNotHold() throws IOException {
    writeShard(FIRST, "a");
    writeShard(SECOND, "b");
    Path index =
        writeIndex(
            "{\"weight_map\":{\"a\":\"%1$s\",\"b\":\"%2$s\",\"c\":\"%2$s\"}}"
                .formatted(FIRST, SECOND));
    assertMalformed(index, "places tensor 'c' in '" + SECOND + "', which does not hold it");
    writeIndex("{\"weight_map\":{\"a\":\"%1$s\",\"b\":\"%1$s\"}}".formatted(FIRST));
    assertMalformed(index, "places tensor 'b' in '" + FIRST + "', which does not hold it");
  }

  @Test
  void aTensorInTwoShards() throws IOException {
    writeShard(FIRST, "a", "b");
    writeShard(SECOND, "b");
    Path index =
        writeIndex("{\"weight_map\":{\"a\":\"%s\",\"b\":\"%s\"}}".formatted(FIRST, SECOND));
    assertMalformed(
        index, "tensor 'b' lies in two of its files, '%s' and '%s'".formatted(FIRST, SECOND));
  }

  @Test
  void aTensorTwiceInTheIndex() throws IOException {
    writeShard(FIRST, "a");
    Path index = writeIndex("{\"weight_map\":{\"a\":\"%1$s\",\"a\":\"%1$s\"}}".formatted(FIRST));
    assertMalformed(index, "\"a\"");
  }

  @Test
  void aShardThatIsMalformedNamesTheShard() throws IOException {
    Path shard = Files.write(folder.resolve(FIRST), new byte[3]);
    writeIndex("{\"weight_map\":{\"a\":\"" + FIRST + "\"}}");
    assertMalformed(shard, "it holds 3 bytes");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "[]",
        "{",
        "{}",
        "{\"weight_map\":{}}",
        "{\"weight_map\":[]}",
        "{\"weight_map\":{\"a\":1}}"
      })
  void anIndexThatIsNone(String json) throws IOException {
    assertMalformed(writeIndex(json), "");
  }

  @ParameterizedTest
  @ValueSource(strings = {"../x.safetensors", "/x.safetensors", "a/b", "..", ".", "", "a\\\\b"})
  void aShardOutsideTheFolder(String name) throws IOException {
    assertMalformed(
        writeIndex("{\"weight_map\":{\"a\":\"" + name + "\"}}"), "plain name of a file beside it");
  }
}
