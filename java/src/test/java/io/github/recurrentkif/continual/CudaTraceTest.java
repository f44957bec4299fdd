package io.github.recurrentkif.continual;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.recurrentkif.continual.QuadraticTrace.Entry;
import io.github.recurrentkif.continual.QuadraticTrace.Problem;
import io.github.recurrentkif.continual.QuadraticTrace.TracePlan;
import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.kernels.cuda.CudaKernels;
import io.github.recurrentkif.kernels.cuda.Emulator;
import io.github.recurrentkif.training.OptimizerSettings;
import java.util.List;
import org.junit.jupiter.api.Test;

/** The whole method on the CUDA source, run by the processor: bit for bit as on the reference. */
class CudaTraceTest {

  @Test
  void aRunOfTheMethodIsTheSameToTheLastBit() {
    List<Entry> expected = QuadraticTrace.faithful(Problem.LARGER, 2);
    try (Kernels kernels = new CudaKernels(Emulator.launcher(2), CudaKernels.SHIPPED)) {
      List<Entry> actual =
          QuadraticTrace.run(
              Problem.LARGER,
              QuadraticTrace.FAITHFUL,
              TracePlan.faithful(Problem.LARGER, 2),
              OptimizerSettings.reference(),
              kernels,
              false);
      assertEquals(expected.size(), actual.size());
      for (int i = 0; i < expected.size(); i++) {
        String place = "event " + i + ", " + expected.get(i).event();
        assertEquals(expected.get(i).event(), actual.get(i).event(), place);
        assertEquals(expected.get(i).norm(), actual.get(i).norm(), place);
        assertEquals(expected.get(i).masks(), actual.get(i).masks(), place);
        assertArrayEquals(expected.get(i).weights(), actual.get(i).weights(), place);
      }
    }
  }
}
