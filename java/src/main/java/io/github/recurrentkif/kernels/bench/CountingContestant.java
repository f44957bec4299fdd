package io.github.recurrentkif.kernels.bench;

import io.github.recurrentkif.kernels.cuda.CudaKernels;
import io.github.recurrentkif.memory.Device;
import java.util.Set;

/**
 * An update of the importance that begins the threshold after it. Closing it leaves the kernels
 * open, which belong to another contestant.
 */
record CountingContestant(String name, Contestant owner, CudaKernels kernels)
    implements Contestant {

  @Override
  public Device device() {
    return kernels.device();
  }

  @Override
  public Set<Operation> operations() {
    return Set.of(Operation.IMPORTANCE_THRESHOLD);
  }

  @Override
  public void run(Operation operation, Vectors v) {
    kernels.importanceThenThreshold(
        v.get(Role.WEIGHTS),
        v.get(Role.GRADIENT),
        MethodParameters.CLIP,
        v.inner(),
        MethodParameters.IMPORTANCE,
        MethodParameters.SCORE,
        MethodParameters.QUANTILE);
  }

  @Override
  public void await() {
    owner.await();
  }

  @Override
  public void close() {}
}
