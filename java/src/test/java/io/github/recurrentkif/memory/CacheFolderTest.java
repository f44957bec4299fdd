package io.github.recurrentkif.memory;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.memory.CacheFolder.Fingerprint;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CacheFolderTest {

  private static final Path HOME = Path.of("/home/ada");
  private static final Path NAME = Path.of("some", "library.so");

  @TempDir Path folder;

  private final byte[] content = new byte[1_000_000];

  CacheFolderTest() {
    new Random(7).nextBytes(content);
  }

  private Fingerprint fingerprint() throws IOException {
    return Fingerprint.of(new ByteArrayInputStream(content));
  }

  @Test
  void theOwnVariableComesFirstThenTheDesktopsThenTheHomeFolder() {
    assertEquals(
        Path.of("/a"),
        CacheFolder.of(Map.of("KIF_CACHE", "/a", "XDG_CACHE_HOME", "/b"), HOME).path());
    assertEquals(
        Path.of("/b/recurrent-kif"), CacheFolder.of(Map.of("XDG_CACHE_HOME", "/b"), HOME).path());
    assertEquals(
        Path.of("/home/ada/.cache/recurrent-kif"),
        CacheFolder.of(Map.of("KIF_CACHE", " ", "XDG_CACHE_HOME", ""), HOME).path());
    assertEquals(
        Path.of("/home/ada/.cache/recurrent-kif"),
        CacheFolder.of(Map.of("XDG_CACHE_HOME", "relative/is/ignored"), HOME).path());
  }

  @Test
  void aFileIsWrittenOnceAndThenTakenAsItIs() throws IOException {
    CacheFolder cache = new CacheFolder(folder);
    AtomicInteger opened = new AtomicInteger();
    for (int i = 0; i < 3; i++) {
      Path file =
          cache.provide(
              NAME,
              fingerprint(),
              () -> {
                opened.incrementAndGet();
                return new ByteArrayInputStream(content);
              });
      assertArrayEquals(content, Files.readAllBytes(file));
    }
    assertEquals(1, opened.get());
  }

  @Test
  void aTruncatedOrAlteredFileIsReplaced() throws IOException {
    CacheFolder cache = new CacheFolder(folder);
    Path file = folder.resolve(NAME);
    Files.createDirectories(file.resolveSibling(""));
    byte[] altered = content.clone();
    altered[500_000] ^= 1;
    for (byte[] wrong : List.of(new byte[10], altered)) {
      Files.write(file, wrong);
      cache.provide(NAME, fingerprint(), () -> new ByteArrayInputStream(content));
      assertArrayEquals(content, Files.readAllBytes(file));
    }
  }

  @Test
  void contentThatIsNotWhatItsFingerprintSaysLeavesNothingBehind() throws IOException {
    CacheFolder cache = new CacheFolder(folder);
    Fingerprint fingerprint = fingerprint();
    UncheckedIOException e =
        assertThrows(
            UncheckedIOException.class,
            () -> cache.provide(NAME, fingerprint, () -> new ByteArrayInputStream(new byte[10])));
    assertTrue(String.valueOf(e.getMessage()).contains("KIF_CACHE"), e.getMessage());
    assertTrue(String.valueOf(e.getCause()).contains("wrote 10 bytes"), e.getMessage());
    try (var files = Files.list(folder.resolve("some"))) {
      assertEquals(List.of(), files.toList());
    }
  }

  @Test
  void manyThreadsAtOnceAllGetTheWholeFile() throws Exception {
    CacheFolder cache = new CacheFolder(folder);
    Fingerprint fingerprint = fingerprint();
    List<Callable<byte[]>> readers = new ArrayList<>();
    for (int i = 0; i < 16; i++) {
      readers.add(
          () ->
              Files.readAllBytes(
                  cache.provide(NAME, fingerprint, () -> new ByteArrayInputStream(content))));
    }
    try (var threads = Executors.newFixedThreadPool(16)) {
      for (var read : threads.invokeAll(readers)) {
        assertArrayEquals(content, read.get());
      }
    }
    try (var files = Files.list(folder.resolve("some"))) {
      assertEquals(List.of(folder.resolve(NAME)), files.toList());
    }
  }
}
