package io.github.recurrentkif.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.kernels.Workspace;
import io.github.recurrentkif.kernels.cpu.CpuKernels.Backend;
import io.github.recurrentkif.kernels.cpu.CpuKernels.Opened;
import io.github.recurrentkif.kernels.cpu.CpuKernels.Settings;
import io.github.recurrentkif.memory.CacheFolder;
import io.github.recurrentkif.memory.InputException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Which kernels are opened, and that nothing falls back in silence. */
class CpuKernelsTest {

  @TempDir Path folder;

  @Test
  void theKernelsOfThisBuildAreNativeWhereItFoundACompiler() {
    NativeBackends.library();
    Opened opened = CpuKernels.open(2);
    try (Kernels kernels = opened.kernels()) {
      assertTrue(kernels.description().endsWith("2 threads"), kernels.description());
      assertEquals("native", opened.candidates().getFirst().backend());
      assertTrue(opened.candidates().getFirst().chosen());
    }
  }

  @Test
  void aSettingChoosesTheReference() {
    Opened opened = CpuKernels.open(1, new Settings(Backend.REFERENCE, null, cache()));
    assertEquals("scalar Java, 1 thread", opened.kernels().description());
    assertTrue(opened.candidates().getFirst().detail().contains("KIF_KERNELS"));
  }

  @Test
  void aLibraryThatIsNotThereIsAnErrorWhenAskedFor() {
    Path missing = folder.resolve("missing.so");
    for (Backend backend : new Backend[] {Backend.AUTO, Backend.NATIVE}) {
      InputException error =
          assertThrows(
              InputException.class,
              () -> CpuKernels.open(1, new Settings(backend, missing, cache())));
      assertTrue(String.valueOf(error.getMessage()).contains(missing.toString()));
    }
  }

  @Test
  void withoutALibraryAutoSaysWhyAndNativeFails() throws IOException {
    NativeBackends.library();
    // A cache that cannot be made: its parent is a file.
    Path file = Files.writeString(folder.resolve("file"), "");
    CacheFolder nowhere = new CacheFolder(file.resolve("cache"));
    Opened opened = CpuKernels.open(1, new Settings(Backend.AUTO, null, nowhere));
    assertTrue(opened.candidates().getLast().chosen());
    assertTrue(opened.candidates().getFirst().detail().contains("KIF_CACHE"));
    assertThrows(
        InputException.class,
        () -> CpuKernels.open(1, new Settings(Backend.NATIVE, null, nowhere)));
  }

  @Test
  void settingsComeFromThePropertyBeforeTheEnvironment() {
    Map<String, String> environment =
        Map.of("KIF_KERNELS", "reference", "KIF_NATIVE_LIBRARY", "/a/b.so");
    assertEquals(Backend.REFERENCE, Settings.of(environment, "", cache()).backend());
    assertEquals(Backend.NATIVE, Settings.of(environment, "native", cache()).backend());
    assertEquals(Path.of("/a/b.so"), Settings.of(environment, "", cache()).library());
    assertEquals(Backend.AUTO, Settings.of(Map.of(), "", cache()).backend());
    assertThrows(
        InputException.class, () -> Settings.of(Map.of("KIF_KERNELS", "cuda"), "", cache()));
  }

  @Test
  void closedKernelsRefuseToWork() {
    NativeKernels kernels = new NativeBackends.NativeBackend(InstructionSet.BASELINE, 2).open();
    kernels.close();
    kernels.close();
    try (Workspace space = new Workspace(Workspace.layoutOf(3))) {
      assertThrows(IllegalStateException.class, () -> kernels.zero(space.weights));
    }
  }

  @Test
  void anEnvironmentVariableCapsTheInstructionSet() throws Exception {
    NativeLibrary library = NativeBackends.library();
    for (InstructionSet cap : InstructionSet.values()) {
      int expected = Math.min(cap.number(), library.supportedIsa());
      Child child =
          run(Map.of("KIF_MAX_ISA", library.isaName(cap.number())), DescribeKernels.class);
      assertEquals(0, child.status, child.output);
      assertEquals("C, " + library.isaName(expected) + ", 1 thread", child.output.strip());
    }
    Child nonsense = run(Map.of("KIF_MAX_ISA", "mmx"), DescribeKernels.class);
    assertNotEquals(0, nonsense.status);
    assertTrue(nonsense.output.contains("but it is 'mmx'"), nonsense.output);
  }

  /** What the tests with guard pages rest on. */
  @Test
  void oneElementTooManyMeetsTheGuardPage() throws Exception {
    NativeBackends.library();
    assertEquals(0, run(Map.of(), ZeroBeforeGuardPage.class, "1000", "1000").status);
    assertNotEquals(0, run(Map.of(), ZeroBeforeGuardPage.class, "1000", "1001").status);
  }

  private CacheFolder cache() {
    return new CacheFolder(folder);
  }

  private record Child(int status, String output) {}

  private static Child run(Map<String, String> environment, Class<?> main, String... arguments)
      throws IOException, InterruptedException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(
        List.of(
            "--enable-native-access=ALL-UNNAMED",
            "-XX:+SuppressFatalErrorMessage",
            "-Xshare:auto",
            "-Dkif.kernels=native",
            "-cp",
            System.getProperty("java.class.path"),
            main.getName()));
    command.addAll(Arrays.asList(arguments));
    ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
    builder.environment().remove("KIF_MAX_ISA");
    builder.environment().putAll(environment);
    Process process = builder.start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    return new Child(process.waitFor(), output);
  }
}
