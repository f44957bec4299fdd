package io.github.recurrentkif.kernels.cpu;

import static java.lang.foreign.ValueLayout.ADDRESS;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** A process of its own that may die of writing too far. */
final class ZeroBeforeGuardPage {

  private ZeroBeforeGuardPage() {}

  /** The elements there are, and those to write. */
  public static void main(String[] arguments) throws NativeUnavailableException {
    NativeLibrary library = NativeLibrary.load(CpuKernels.locate(CpuKernels.Settings.ofProcess()));
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment result = arena.allocate(ADDRESS);
      int created = library.contextCreate(1, InstructionSet.BASELINE.number(), result);
      long bytes = Float.BYTES * Long.parseLong(arguments[0]);
      int status =
          library.zero(
              result.get(ADDRESS, 0),
              Placement.beforeGuardPage().place(bytes, arena),
              Long.parseLong(arguments[1]));
      if (created != 0 || status != 0) {
        throw new IllegalStateException("refused");
      }
    }
  }
}
