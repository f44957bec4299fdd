package io.github.recurrentkif.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.kernels.cuda.CudaKernels.Availability;
import io.github.recurrentkif.memory.InputException;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What a machine without a GPU says. */
class NoDriverTest {

  @BeforeEach
  void skipWithGpu() {
    Assumptions.assumeFalse(
        CudaKernels.examine().available(),
        "SKIPPED: this machine has a GPU, so nothing is missing");
  }

  @Test
  void openingNamesWhatIsMissingAndWhatToDoEachTime() {
    for (int attempt = 0; attempt < 2; attempt++) {
      InputException e = assertThrows(InputException.class, () -> CudaKernels.open(0));
      String message = String.valueOf(e.getMessage());
      assertTrue(message.startsWith("no CUDA: "), message);
      assertTrue(message.contains("--device cpu"), message);
      assertEquals(1, message.lines().count(), message);
    }
  }

  @Test
  void examiningGivesTheSameReason() {
    Availability found = CudaKernels.examine();
    assertFalse(found.available());
    InputException e = assertThrows(InputException.class, () -> CudaKernels.open(0));
    assertEquals(e.getMessage(), found.detail());
  }
}
