package io.github.recurrentkif.memory;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;

class CacheFolderTest {

  private static final Path HOME = Path.of("/home/someone");

  private static Path of(Map<String, String> environment) {
    return CacheFolder.of(environment::get, HOME);
  }

  @Test
  void ownVariableGoesFirst() {
    assertEquals(
        Path.of("/fast/kif"), of(Map.of("KIF_CACHE", "/fast/kif", "XDG_CACHE_HOME", "/caches")));
    assertEquals(Path.of("near").toAbsolutePath(), of(Map.of("KIF_CACHE", "near")));
  }

  @Test
  void commonCacheFolderComesNext() {
    assertEquals(
        Path.of("/caches/recurrent-kif"), of(Map.of("KIF_CACHE", "", "XDG_CACHE_HOME", "/caches")));
  }

  @Test
  void homeFolderIsTheLastResort() {
    Path expected = HOME.resolve(".cache/recurrent-kif");
    assertEquals(expected, of(Map.of()));
    assertEquals(expected, of(Map.of("KIF_CACHE", "", "XDG_CACHE_HOME", "")));
    assertEquals(expected, of(Map.of("XDG_CACHE_HOME", "relative/is/ignored")));
  }
}
