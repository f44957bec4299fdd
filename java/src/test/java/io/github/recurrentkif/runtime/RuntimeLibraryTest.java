package io.github.recurrentkif.runtime;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.memory.CacheFolder;
import io.github.recurrentkif.runtime.RuntimeLibrary.Platform;
import io.github.recurrentkif.runtime.RuntimeLibrary.Source;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RuntimeLibraryTest {

  @TempDir Path folder;

  @Test
  void theJarsLibraryIsTakenWhereNothingElseIsNamed() {
    try (OnnxRuntime runtime = OnnxRuntime.load(null, Map.of(), TestRuntime.CACHE)) {
      assertEquals(Source.JAR, runtime.library().source());
      assertTrue(runtime.libraryPath().startsWith(TestRuntime.CACHE.path()));
      assertTrue(runtime.version().matches("1\\.\\d+\\.\\d+"), runtime.version());
      assertTrue(
          runtime.libraryPath().toString().contains(runtime.version()),
          "the cache names the version: " + runtime.libraryPath());
    }
  }

  @Test
  void theVariableGoesBeforeTheJarAndTheArgumentBeforeTheVariable() {
    Path library = TestRuntime.load().libraryPath();
    Map<String, String> variable = Map.of("KIF_ORT_LIBRARY", library.toString());
    try (OnnxRuntime runtime = OnnxRuntime.load(null, variable, new CacheFolder(folder))) {
      assertEquals(Source.ENVIRONMENT, runtime.library().source());
      assertEquals(library, runtime.libraryPath());
    }
    Map<String, String> wrong = Map.of("KIF_ORT_LIBRARY", "/nowhere.so");
    try (OnnxRuntime runtime = OnnxRuntime.load(library, wrong, new CacheFolder(folder))) {
      assertEquals(Source.ARGUMENT, runtime.library().source());
    }
  }

  @Test
  void aFileThatIsNotThereIsNamedWithTheRuleThatChoseIt() {
    String e =
        TestRuntime.refusal(
            () ->
                OnnxRuntime.load(
                    null, Map.of("KIF_ORT_LIBRARY", "/nowhere.so"), TestRuntime.CACHE));
    assertTrue(e.contains("/nowhere.so (environment variable KIF_ORT"), e);
  }

  @Test
  void aFileThatIsNoLibraryIsRefused() throws IOException {
    Path text = Files.writeString(folder.resolve("text.so"), "not a library");
    String e = TestRuntime.refusal(() -> OnnxRuntime.load(text));
    assertTrue(e.contains("cannot load " + text), e);
  }

  @Test
  void aLibraryThatIsNotOnnxRuntimeIsRefused() throws Exception {
    Path library = CLibrary.compile(folder, "other", "int other(void) { return 1; }");
    String e = TestRuntime.refusal(() -> OnnxRuntime.load(library));
    assertTrue(e.contains("is not an ONNX Runtime library"), e);
  }

  @Test
  void aLibraryThatIsTooOldIsRefusedWithItsVersionAndTheOneNeeded() throws Exception {
    Path library =
        CLibrary.compile(
            folder,
            "old",
            """
            typedef struct { const void* (*api)(unsigned); const char* (*version)(void); } Base;
            static const void* table[300];
            static const void* api(unsigned v) { return v <= 23 ? table : 0; }
            static const char* version(void) { return "1.23.2"; }
            const Base* OrtGetApiBase(void) { static const Base base = {api, version}; return &base; }
            """);
    String e = TestRuntime.refusal(() -> OnnxRuntime.load(library));
    assertTrue(e.contains("ONNX Runtime 1.23.2 at " + library), e);
    assertTrue(e.contains("too old: 1.24 or later"), e);
  }

  @Test
  void eachPlatformHasTheNamesOfTheJar() {
    assertEquals(
        new Platform("linux-x64", "libonnxruntime.so"), RuntimeLibrary.platform("Linux", "amd64"));
    assertEquals(
        new Platform("linux-aarch64", "libonnxruntime.so"),
        RuntimeLibrary.platform("Linux", "aarch64"));
    assertEquals(
        new Platform("osx-aarch64", "libonnxruntime.dylib"),
        RuntimeLibrary.platform("Mac OS X", "aarch64"));
    assertEquals(
        new Platform("win-x64", "onnxruntime.dll"),
        RuntimeLibrary.platform("Windows Server 2025", "amd64"));
  }

  @Test
  void everyPlatformOfTheJarCanBeExtracted() throws IOException {
    for (String[] machine :
        new String[][] {{"Linux", "aarch64"}, {"Mac OS X", "aarch64"}, {"Windows 11", "amd64"}}) {
      RuntimeLibrary library =
          RuntimeLibrary.extracted(
              RuntimeLibrary.platform(machine[0], machine[1]), new CacheFolder(folder));
      assertTrue(Files.size(library.path()) > 1_000_000);
    }
  }

  @Test
  void aMachineTheJarHasNothingForIsToldWhatToDo() {
    String e =
        TestRuntime.refusal(
            () ->
                RuntimeLibrary.extracted(
                    RuntimeLibrary.platform("Linux", "riscv64"), TestRuntime.CACHE));
    assertTrue(e.contains("linux-riscv64"), e);
    assertTrue(e.contains("KIF_ORT_LIBRARY"), e);
  }
}
