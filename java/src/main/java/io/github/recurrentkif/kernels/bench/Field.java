package io.github.recurrentkif.kernels.bench;

import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.kernels.cpu.CpuKernels;
import io.github.recurrentkif.kernels.cuda.CudaKernels;
import io.github.recurrentkif.kernels.cuda.Launcher;
import io.github.recurrentkif.kernels.reference.ReferenceKernels;
import io.github.recurrentkif.memory.InputException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * Those that compete on one device.
 *
 * @param contestants all of them, slowest kind first
 * @param copiers of these, the ones whose copies are tried as the yardstick of bandwidth; the last
 *     one also clears the caches
 */
public record Field(List<Contestant> contestants, List<Contestant> copiers)
    implements AutoCloseable {

  public Field {
    contestants = List.copyOf(contestants);
    copiers = List.copyOf(copiers);
    if (copiers.isEmpty() || !contestants.containsAll(copiers)) {
      throw new IllegalArgumentException("a field needs copiers among its contestants");
    }
  }

  /** Scalar Java, and every instruction set of the native kernels on one thread and on several. */
  public static Field cpu(int threads, CpuKernels.Settings settings) {
    List<Contestant> contestants = new ArrayList<>();
    KernelsContestant reference = new KernelsContestant("Java", new ReferenceKernels());
    contestants.add(reference);
    @Nullable KernelsContestant best = null;
    for (int count : threads == 1 ? List.of(1) : List.of(1, threads)) {
      for (Kernels kernels : CpuKernels.openEachInstructionSet(count, settings)) {
        best = new KernelsContestant(kernels.description(), kernels);
        contestants.add(best);
      }
    }
    if (best == null) {
      return new Field(contestants, List.of(reference));
    }
    contestants.add(best.inTwoPasses());
    return new Field(contestants, List.of(reference, best));
  }

  /** Every variant of the CUDA kernels, on one queue, which is closed with the field. */
  public static Field cuda(Launcher launcher) {
    CudaKernels kernels = new CudaKernels(launcher, CudaKernels.SHIPPED);
    KernelsContestant shipped = new KernelsContestant("CUDA, shipped", kernels);
    return new Field(
        List.of(
            new KernelsContestant("CUDA, naive", new CudaKernels(launcher, 1)),
            shipped,
            new CountingContestant("CUDA, counted in the update", shipped, kernels),
            new KernelsContestant(
                "CUDA, one launch",
                new CudaKernels(launcher, CudaKernels.ONE_LAUNCH),
                Set.of(Operation.FUSION))),
        List.of(shipped));
  }

  /**
   * A kernel of somebody's own PTX in the place of the shipped one of an operation.
   *
   * @throws InputException if there is none, or none can be brought for that operation
   */
  public static Contestant brought(Launcher launcher, Path ptx, String entry, Operation operation) {
    String replaced =
        switch (operation) {
          case IMPORTANCE -> "kif_importance_2";
          case MERGE -> "kif_merge_2";
          case ADAMW -> "kif_adamw_2";
          case ADAMW_IMPORTANCE -> "kif_adamw_importance_2";
          case COPY, THRESHOLD, IMPORTANCE_THRESHOLD, NORM, FUSION ->
              throw new InputException(
                  "--ptx: "
                      + operation
                      + " is more than one launch; bring one of importance, merge, adamw,"
                      + " adamw-importance");
        };
    return new KernelsContestant(
        "yours: " + entry,
        CudaKernels.replacing(launcher, replaced, ptx, entry),
        Set.of(operation));
  }

  /** The same field and one more contestant. */
  public Field with(Contestant contestant) {
    return new Field(Stream.concat(contestants.stream(), Stream.of(contestant)).toList(), copiers);
  }

  /** The name of the device. */
  public String device() {
    return copiers.getLast().device().name();
  }

  @Override
  public void close() {
    contestants.forEach(Contestant::close);
  }
}
