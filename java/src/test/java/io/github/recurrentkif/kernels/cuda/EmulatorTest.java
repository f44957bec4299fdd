package io.github.recurrentkif.kernels.cuda;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.memory.Shape;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

/** What the emulator refuses, and that the sanitizers see what is planted for them. */
class EmulatorTest {

  private static final ParameterLayout LAYOUT =
      ParameterLayout.of(new LinkedHashMap<>(Map.of("w", Shape.of(20))));

  @Test
  void everyPlantedFaultIsCaughtAndNoKernelHasOne() throws Exception {
    Emulator.launcher(1);
    Path log = Path.of("target", "cuda-emulator", "check.log");
    Process check =
        new ProcessBuilder(
                "sh",
                Emulator.sources().resolve("emulator").resolve("check.sh").toString(),
                Path.of("target", "cuda-emulator", "check").toString())
            .redirectErrorStream(true)
            .redirectOutput(log.toFile())
            .start();
    assertTrue(check.waitFor(10, TimeUnit.MINUTES), "check.sh takes too long");
    String said = Files.readString(log);
    assertEquals(0, check.exitValue(), said);
    // One line for each fault: a loop that runs over nothing would end well too.
    assertEquals(13, said.lines().filter(line -> line.startsWith("caught: ")).count(), said);
  }

  @Test
  void memoryOfTheHostIsNoArgumentOfAKernel() {
    try (CudaKernels kernels = new CudaKernels(Emulator.launcher(1), CudaKernels.SHIPPED);
        Arena arena = Arena.ofConfined()) {
      Launcher launcher = Emulator.launcher(1);
      MemorySegment host = arena.allocate(JAVA_FLOAT, 64);
      Launcher.Kernel accumulate =
          launcher.load(CudaKernels.ptx()).kernel("kif_accumulate_" + CudaKernels.SHIPPED);
      Arguments arguments = new Arguments(arena).add(host).add(host).add(1f).add(64L);
      Exception e =
          assertThrows(
              IllegalStateException.class,
              () -> launcher.launch(accumulate, 1, 256, 0, arguments.addresses()));
      assertTrue(String.valueOf(e.getMessage()).contains("no device memory"), e.toString());
      assertThrows(
          IllegalStateException.class, () -> launcher.copy(host.address(), host.address(), 4));
      assertEquals("cuda-emulator", kernels.device().name());
    }
  }

  @Test
  void memoryOfTheDeviceIsNotWhereTheHostCanFollow() throws IOException {
    try (CudaKernels kernels = new CudaKernels(Emulator.launcher(1), CudaKernels.SHIPPED);
        ParameterVector vector = new ParameterVector(LAYOUT, kernels.device())) {
      float[] values = new float[20];
      values[7] = 3;
      vector.upload("w", MemorySegment.ofArray(values));
      assertEquals(3, vector.download("w")[7]);
      String from = Long.toHexString(vector.segment().address());
      assertTrue(
          Files.readAllLines(Path.of("/proc/self/maps")).stream()
              .noneMatch(line -> contains(line, vector.segment().address())),
          from);
    }
  }

  private static boolean contains(String mapping, long address) {
    String[] ends = mapping.substring(0, mapping.indexOf(' ')).split("-", 2);
    return Long.compareUnsigned(Long.parseUnsignedLong(ends[0], 16), address) <= 0
        && Long.compareUnsigned(Long.parseUnsignedLong(ends[1], 16), address) > 0;
  }

  @Test
  void anUnknownKernelIsNamed() {
    Launcher launcher = Emulator.launcher(1);
    Exception e =
        assertThrows(
            IllegalArgumentException.class,
            () -> launcher.load(new byte[0]).kernel("no_such_kernel"));
    assertTrue(String.valueOf(e.getMessage()).contains("no_such_kernel"), e.toString());
  }

  @Test
  void closedKernelsSaySo() {
    CudaKernels kernels = new CudaKernels(Emulator.launcher(1), CudaKernels.SHIPPED);
    try (ParameterVector vector = new ParameterVector(LAYOUT, kernels.device())) {
      kernels.close();
      kernels.close();
      assertThrows(IllegalStateException.class, () -> kernels.zero(vector));
      assertThrows(IllegalStateException.class, () -> kernels.squaredNorm(vector));
    }
  }
}
