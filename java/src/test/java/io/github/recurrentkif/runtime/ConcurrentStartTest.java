package io.github.recurrentkif.runtime;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.memory.CacheFolder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ConcurrentStartTest {

  @TempDir Path folder;

  @Test
  void processesThatStartTogetherAllLoadTheLibrary() throws Exception {
    String java = Path.of(System.getProperty("java.home"), "bin", "java").toString();
    List<Process> processes = new ArrayList<>();
    for (int i = 0; i < 3; i++) {
      processes.add(
          new ProcessBuilder(
                  java,
                  "--enable-native-access=ALL-UNNAMED",
                  "-Xmx128m",
                  "-cp",
                  System.getProperty("java.class.path"),
                  LoadsTheLibrary.class.getName(),
                  folder.toString())
              .redirectErrorStream(true)
              .start());
    }
    for (Process process : processes) {
      String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      assertEquals(0, process.waitFor(), said);
      assertTrue(said.startsWith("loaded 1."), said);
    }
    try (var files = Files.walk(folder)) {
      assertFalse(files.anyMatch(file -> file.toString().endsWith(".tmp")));
    }
  }

  /** What each of those processes runs. */
  static final class LoadsTheLibrary {
    public static void main(String[] arguments) {
      CacheFolder cache = new CacheFolder(Path.of(arguments[0]));
      try (OnnxRuntime runtime = OnnxRuntime.load(null, Map.of(), cache)) {
        System.out.print("loaded " + runtime.version());
      }
    }
  }
}
