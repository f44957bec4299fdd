package io.github.recurrentkif.kernels.cpu;

/** The instruction sets that the native kernels are compiled for, weakest first. */
enum InstructionSet {
  /** What every processor of the architecture has: SSE2 on x86-64. */
  BASELINE(1),
  AVX2(2),
  /** With its extensions VL, DQ and BW. */
  AVX512(3);

  /** Asks {@code kif_context_create} for the best one that the processor and the user allow. */
  static final int BEST = 0;

  private final int number;

  InstructionSet(int number) {
    this.number = number;
  }

  /** As in kif.h. */
  int number() {
    return number;
  }
}
