package io.github.recurrentkif.cli;

import io.github.recurrentkif.kernels.cuda.CudaKernels;
import io.github.recurrentkif.kernels.cuda.CudaKernels.Availability;
import java.util.List;

/** Whether the kernels can run on a GPU. */
final class GpuExamination implements Examination {

  @Override
  public String title() {
    return "GPU";
  }

  @Override
  public List<Finding> findings() {
    Availability gpu = CudaKernels.examine();
    return List.of(
        gpu.available()
            ? Finding.ok("kernels", gpu.detail())
            : Finding.warning("kernels", gpu.detail(), "everything runs on the processor instead"));
  }
}
