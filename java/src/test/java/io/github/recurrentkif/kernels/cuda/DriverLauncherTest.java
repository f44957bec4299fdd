package io.github.recurrentkif.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.kernels.cuda.CudaKernels.Availability;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The way through JCuda to the driver's functions, with the emulator in the place of the driver: it
 * is the first {@code libcuda.so.1} that a process of its own finds.
 */
class DriverLauncherTest {

  @TempDir Path folder;

  private record Child(int status, String output) {}

  @Test
  void everyOperationComesThroughJCudaWithTheBitsOfTheReference() throws Exception {
    Emulator.launcher(1);
    Assumptions.assumeTrue(
        System.getProperty("os.arch").equals("amd64"),
        "SKIPPED: JCuda comes for Linux on x86-64 only");
    Child child = run(Emulator.library().resolveSibling("driver"));
    assertEquals(0, child.status, child.output);
    assertTrue(
        child.output.contains(
            "CUDA on emulated GPU, compute capability 9.0, 3 multiprocessors, driver for CUDA"
                + " 13.0"),
        child.output);
    assertTrue(
        child.output.contains(5 * CudaOperations.all().size() + " comparisons held"), child.output);
  }

  @Test
  void onAGpuEveryOperationGivesTheBitsOfTheReference() throws Exception {
    Availability gpu = CudaKernels.examine();
    Assumptions.assumeTrue(
        gpu.available(), "SKIPPED: the CUDA kernels are not tested on a GPU: " + gpu.detail());
    CompareOnDriver.main(new String[0]);
  }

  @Test
  void aLibraryThatIsNoDriverIsSaidToBeNone() throws Exception {
    Files.writeString(folder.resolve("libcuda.so.1"), "no library at all");
    Child child = run(folder);
    assertNotEquals(0, child.status, child.output);
    assertTrue(child.output.contains("InputException: no CUDA: "), child.output);
  }

  private Child run(Path driver) throws Exception {
    ProcessBuilder command =
        new ProcessBuilder(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "--enable-native-access=ALL-UNNAMED",
            "-Djava.io.tmpdir=" + folder,
            "-cp",
            System.getProperty("java.class.path"),
            CompareOnDriver.class.getName());
    command.environment().put("LD_LIBRARY_PATH", driver.toString());
    Path log = folder.resolve("log");
    Process process = command.redirectErrorStream(true).redirectOutput(log.toFile()).start();
    assertTrue(process.waitFor(3, TimeUnit.MINUTES), "takes too long");
    return new Child(process.exitValue(), Files.readString(log));
  }
}
