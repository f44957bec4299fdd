package io.github.recurrentkif.memory;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class AtomicFolderTest {

  @TempDir Path folder;

  private List<String> left() throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.map(file -> file.getFileName().toString()).sorted().toList();
    }
  }

  @Test
  void others_may_read_it_as_they_may_any_new_folder() throws IOException {
    assumeTrue(
        Files.getFileStore(folder).supportsFileAttributeView("posix"),
        "SKIPPED: no POSIX permissions here");
    Path plain = Files.createDirectory(folder.resolve("plain"));
    Path made = folder.resolve("made");
    AtomicFolder.write(made, inside -> Files.writeString(inside.resolve("a"), "whole"));
    assertEquals(Files.getPosixFilePermissions(plain), Files.getPosixFilePermissions(made));
    assertEquals("whole", Files.readString(made.resolve("a")));
    assertEquals(List.of("made", "plain"), left());
  }

  @Test
  void a_failure_of_the_content_leaves_nothing() throws IOException {
    IOException thrown =
        assertThrows(
            IOException.class,
            () ->
                AtomicFolder.write(
                    folder.resolve("made"),
                    inside -> {
                      Files.writeString(inside.resolve("a"), "half");
                      throw new IOException("no more");
                    }));
    assertEquals("no more", thrown.getMessage());
    assertEquals(List.of(), left());
  }
}
