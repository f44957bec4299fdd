package io.github.recurrentkif.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.kernels.cuda.CudaProducts.Availability;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The way to cuBLAS, with a plain one over the emulated driver in its place. */
class CudaProductsTest {

  @TempDir Path folder;

  private record Child(int status, String output) {}

  @BeforeEach
  void requireEmulator() {
    Emulator.launcher(1);
    Assumptions.assumeTrue(
        System.getProperty("os.arch").equals("amd64"),
        "SKIPPED: JCuda comes for Linux on x86-64 only");
  }

  private static Path cublas() {
    return Emulator.library().resolveSibling("cublas");
  }

  @Test
  void matricesThatLieRowByRowAreMultipliedAsTheyAre() throws Exception {
    Child child = run(cublas());
    assertEquals(0, child.status, child.output);
    assertTrue(child.output.contains("libcublas.so.13, CUDA on emulated GPU"), child.output);
    assertTrue(child.output.contains("deviation 0.0"), child.output);
    List<String> calls = Files.readAllLines(folder.resolve("calls.txt"));
    // [3, 2] times [2, 5]: to cuBLAS [5, 2] times [2, 3].
    assertTrue(calls.contains("sgemm 0 0 m 5 n 3 k 2 lda 5 ldb 2 ldc 5"), calls.toString());
  }

  @Test
  void theLibraryOfCuda12IsCalledInTheSameWay() throws Exception {
    Files.copy(cublas().resolve("libcublas.so.13"), folder.resolve("libcublas.so.12"));
    Child child = run(folder);
    assertEquals(0, child.status, child.output);
    assertTrue(child.output.contains("libcublas.so.12, CUDA on emulated GPU"), child.output);
    assertTrue(child.output.contains("deviation 0.0"), child.output);
  }

  @Test
  void whereThereIsNoCublasThatIsSaid() throws Exception {
    Child child = run(folder);
    assertNotEquals(0, child.status, child.output);
    assertTrue(child.output.contains("InputException: no cuBLAS: none of "), child.output);
  }

  @Test
  void onAGpuProductsAreThoseOfTheReferenceButForRounding() {
    Availability gpu = CudaProducts.examine();
    Assumptions.assumeTrue(
        gpu.available(), "SKIPPED: products are not tested on a GPU: " + gpu.detail());
    MultiplyOnDriver.main(new String[0]);
  }

  private Child run(Path library) throws Exception {
    ProcessBuilder command =
        new ProcessBuilder(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "--enable-native-access=ALL-UNNAMED",
            "-XX:TieredStopAtLevel=1",
            "-Djava.io.tmpdir=" + folder,
            "-cp",
            System.getProperty("java.class.path"),
            MultiplyOnDriver.class.getName());
    Path driver = Emulator.library().resolveSibling("driver");
    command.environment().put("LD_LIBRARY_PATH", driver + ":" + library);
    command.environment().put("KIF_EMULATOR_CALLS", folder.resolve("calls.txt").toString());
    Path log = folder.resolve("log");
    Process process = command.redirectErrorStream(true).redirectOutput(log.toFile()).start();
    assertTrue(process.waitFor(3, TimeUnit.MINUTES), "takes too long");
    return new Child(process.exitValue(), Files.readString(log));
  }
}
