package io.github.recurrentkif.memory;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CacheFolderTest {

  @TempDir Path temporary;

  @Test
  void theEnvironmentNamesTheFolder() {
    Path home = temporary.resolve("home");
    assertEquals(
        home.resolve(".cache/recurrent-kif"),
        CacheFolder.of(Map.of("KIF_CACHE", "", "XDG_CACHE_HOME", ""), home).folder());
    assertEquals(
        temporary.resolve("caches/recurrent-kif"),
        CacheFolder.of(Map.of("XDG_CACHE_HOME", temporary + "/caches"), home).folder());
    assertEquals(
        temporary.resolve("own"),
        CacheFolder.of(
                Map.of("XDG_CACHE_HOME", "/elsewhere", "KIF_CACHE", temporary + "/own"), home)
            .folder());
  }

  @Test
  void aFileIsExtractedOnceAndAgainWhenItIsDamaged() throws IOException {
    URL source = source("content");
    String hash = CacheFolder.contentHash(source);
    // Of "content".
    assertEquals("ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73", hash);
    CacheFolder cache = new CacheFolder(temporary.resolve("cache"));
    Path file = cache.extractOnce(source, "lib.so", hash);
    assertEquals("content", Files.readString(file));
    FileTime longAgo = FileTime.fromMillis(1_000_000);
    Files.setLastModifiedTime(file, longAgo);
    assertEquals(file, cache.extractOnce(source, "lib.so", hash));
    assertEquals(longAgo, Files.getLastModifiedTime(file), "it was written again");
    Files.writeString(file, "conten");
    cache.extractOnce(source, "lib.so", hash);
    assertEquals("content", Files.readString(file));
    assertEquals(List.of(file), filesIn(cache.folder().resolve(hash)), "something was left behind");
  }

  @Test
  void contentThatIsNotWhatItShouldBeIsRefused() throws IOException {
    CacheFolder cache = new CacheFolder(temporary.resolve("cache"));
    String hash = "0".repeat(64);
    IOException error =
        assertThrows(IOException.class, () -> cache.extractOnce(source("content"), "lib.so", hash));
    assertTrue(String.valueOf(error.getMessage()).contains(hash));
    assertEquals(List.of(), filesIn(cache.folder().resolve(hash)));
  }

  private URL source(String content) throws IOException {
    return Files.writeString(temporary.resolve("source"), content).toUri().toURL();
  }

  private static List<Path> filesIn(Path folder) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.toList();
    }
  }
}
