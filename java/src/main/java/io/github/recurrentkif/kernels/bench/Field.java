package io.github.recurrentkif.kernels.bench;

import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.kernels.cpu.CpuKernels;
import io.github.recurrentkif.kernels.reference.ReferenceKernels;
import java.util.ArrayList;
import java.util.List;
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
