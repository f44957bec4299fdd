package io.github.recurrentkif.memory;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assumptions.assumeFalse;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class AtomicFileTest {

  @TempDir Path folder;

  private static void write(Path file, String text) throws IOException {
    AtomicFile.write(
        file, channel -> channel.write(ByteBuffer.wrap(text.getBytes(StandardCharsets.UTF_8))));
  }

  private List<String> filesLeft() throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.map(file -> file.getFileName().toString()).sorted().toList();
    }
  }

  private static void assertNames(Path file, IOException e) {
    Messages.assertStartsWith(file + ": ", e);
  }

  @Test
  void aFileAppearsWholeAndReplacesTheOldOne() throws IOException {
    Path file = folder.resolve("a");
    write(file, "old");
    AtomicFile.write(
        file,
        channel -> {
          channel.write(ByteBuffer.wrap(new byte[] {'n', 'e'}));
          assertEquals("old", Files.readString(file));
          channel.write(ByteBuffer.wrap(new byte[] {'w'}));
        });
    assertEquals("new", Files.readString(file));
    assertEquals(List.of("a"), filesLeft());
  }

  @Test
  void othersMayReadItAsTheyMayReadAnyNewFile() throws IOException {
    assumeTrue(
        Files.getFileStore(folder).supportsFileAttributeView("posix"),
        "SKIPPED: no POSIX permissions here");
    Path plain = Files.writeString(folder.resolve("plain"), "");
    Path file = folder.resolve("a");
    write(file, "");
    assertEquals(Files.getPosixFilePermissions(plain), Files.getPosixFilePermissions(file));
  }

  @Test
  void aFailureOfTheContentLeavesNothing() throws IOException {
    Path file = folder.resolve("a");
    IOException full = new IOException("No space left on device");
    var e =
        assertThrows(
            IOException.class,
            () ->
                AtomicFile.write(
                    file,
                    channel -> {
                      channel.write(ByteBuffer.allocate(100));
                      throw full;
                    }));
    assertNames(file, e);
    assertSame(full, e.getCause());
    assertEquals(List.of(), filesLeft());
  }

  @Test
  void aMissingFolderIsAnErrorThatNamesTheFile() throws IOException {
    Path file = folder.resolve("missing/a");
    assertNames(file, assertThrows(IOException.class, () -> write(file, "x")));
    assertEquals(List.of(), filesLeft());
  }

  @Test
  void aFolderThatIsAFileIsAnErrorThatNamesTheFile() throws IOException {
    Files.writeString(folder.resolve("file"), "x");
    Path file = folder.resolve("file/a");
    assertNames(file, assertThrows(IOException.class, () -> write(file, "x")));
    assertEquals(List.of("file"), filesLeft());
  }

  @Test
  void aTargetThatIsAFolderIsLeftAlone() throws IOException {
    Path file = Files.createDirectory(folder.resolve("a"));
    Files.writeString(file.resolve("content"), "x");
    assertNames(file, assertThrows(IOException.class, () -> write(file, "x")));
    assertEquals(List.of("a"), filesLeft());
    assertEquals("x", Files.readString(file.resolve("content")));
  }

  @Test
  void aReadOnlyFolderIsAnErrorThatNamesTheFile() throws IOException {
    assumeTrue(
        Files.getFileStore(folder).supportsFileAttributeView("posix"),
        "SKIPPED: no POSIX permissions here");
    Path locked =
        Files.createDirectory(
            folder.resolve("locked"),
            PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("r-xr-xr-x")));
    assumeFalse(Files.isWritable(locked), "SKIPPED: this user may write everywhere (root)");
    Path file = locked.resolve("a");
    assertNames(file, assertThrows(IOException.class, () -> write(file, "x")));
    try (Stream<Path> files = Files.list(locked)) {
      assertEquals(0, files.count());
    }
  }
}
