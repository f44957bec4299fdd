package io.github.recurrentkif.cli;

import io.github.recurrentkif.kernels.cuda.CudaKernels;
import io.github.recurrentkif.kernels.cuda.CudaKernels.Availability;
import io.github.recurrentkif.kernels.cuda.CudaProducts;
import io.github.recurrentkif.runtime.ExecutionProvider;
import io.github.recurrentkif.runtime.OnnxRuntime;
import io.github.recurrentkif.runtime.OnnxRuntimeException;
import java.util.List;

/** What can run on a GPU: the kernels, products of matrices, the graphs of a model. */
final class GpuExamination implements Examination {

  @Override
  public String title() {
    return "GPU";
  }

  @Override
  public List<Finding> findings() {
    Availability gpu = CudaKernels.examine();
    if (!gpu.available()) {
      return List.of(
          Finding.warning("kernels", gpu.detail(), "everything runs on the processor instead"));
    }
    CudaProducts.Availability cublas = CudaProducts.examine();
    return List.of(
        Finding.ok("kernels", gpu.detail()),
        cublas.available()
            ? Finding.ok("products", cublas.detail())
            : Finding.warning("products", cublas.detail(), "kif fuse multiplies on the processor"),
        provider());
  }

  private static Finding provider() {
    try (CudaKernels kernels = CudaKernels.open(0);
        OnnxRuntime runtime = OnnxRuntime.load()) {
      runtime.requireCuda(new ExecutionProvider.Cuda(0, kernels.queue(), false));
      return Finding.ok(
          "graphs",
          "ONNX Runtime %s with CUDA, in float32%s"
              .formatted(
                  runtime.version(),
                  kernels.multipliesBfloat16()
                      ? " and bf16"
                      : "; bf16 needs compute capability 8.0"));
    } catch (OnnxRuntimeException e) {
      return Finding.warning(
          "graphs",
          String.valueOf(e.getMessage()),
          "KIF_ORT_LIBRARY names a library with CUDA, LD_LIBRARY_PATH the folders of cuBLAS,"
              + " cuRAND and cuDNN; see docs/cuda.md");
    }
  }
}
