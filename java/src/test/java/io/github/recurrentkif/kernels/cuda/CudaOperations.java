package io.github.recurrentkif.kernels.cuda;

import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.kernels.Operations;
import io.github.recurrentkif.kernels.Operations.Operation;
import io.github.recurrentkif.kernels.Score;
import io.github.recurrentkif.kernels.Workspace;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** What all backends do, and what only the CUDA kernels do in another way. */
final class CudaOperations {

  private CudaOperations() {}

  static Map<String, Operation> all() {
    Map<String, Operation> operations = new LinkedHashMap<>(Operations.all());
    for (Score score : Score.values()) {
      operations.put("updates, each with a threshold of " + score, (k, s) -> updates(k, s, score));
    }
    return operations;
  }

  private static List<Integer> updates(Kernels kernels, Workspace s, Score score) {
    List<Integer> bits = new ArrayList<>();
    for (double quantile : new double[] {0, 0.3, 0.8, 0.999, 1}) {
      if (kernels instanceof CudaKernels cuda) {
        cuda.importanceThenThreshold(
            s.weights, s.gradient, Operations.CLIP, s.inner, Operations.RULE, score, quantile);
      } else {
        kernels.importance(
            s.weights, s.gradient, Operations.CLIP, s.inner.importance(), Operations.RULE);
        kernels.threshold(s.inner.importance(), score, quantile, s.inner.threshold());
      }
      bits.add(Float.floatToIntBits(s.inner.threshold().value()));
    }
    return bits;
  }
}
