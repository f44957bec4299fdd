package io.github.recurrentkif.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.kernels.cpu.CpuKernels;
import io.github.recurrentkif.kernels.cpu.CpuKernels.Settings;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;

/** A benchmark must not compare wrong code: all variants of each leave the same bits. */
class VariantsAgreeTest {

  private static final long N = 10_007;

  /** What a variant does to a fresh state. */
  @FunctionalInterface
  private interface Variant {
    void run(KernelState state);
  }

  /** All implementations that this machine has, as the benchmarks name them. */
  private static List<String> implementations() {
    List<String> names = new ArrayList<>();
    for (int threads : List.of(1, 2)) {
      for (Kernels kernels : CpuKernels.openEachInstructionSet(threads, Settings.ofProcess())) {
        String set = kernels.description().split(", ", -1)[1];
        names.add(set.toLowerCase(Locale.ROOT) + "-" + threads);
        kernels.close();
      }
    }
    if (names.isEmpty()) {
      String message = "SKIPPED: variants are not compared, for this build has no native kernels";
      System.err.println(message);
      Assumptions.abort(message);
    }
    return names;
  }

  private static int fingerprint(String implementation, Variant variant) {
    try (KernelState state = new KernelState(implementation, N)) {
      int before = state.fingerprint();
      variant.run(state);
      int after = state.fingerprint();
      assertNotEquals(before, after, "the variant did nothing");
      state.restore();
      return after;
    }
  }

  private static void agree(Variant... variants) {
    int expected = fingerprint("java", variants[0]);
    for (Variant variant : variants) {
      assertEquals(expected, fingerprint("java", variant), "java");
      for (String implementation : implementations()) {
        assertEquals(expected, fingerprint(implementation, variant), implementation);
      }
    }
  }

  @Test
  void variants_of_the_importance_agree() {
    agree(
        state -> {
          ImportanceBenchmark benchmark = new ImportanceBenchmark();
          benchmark.state = state;
          benchmark.importance();
        });
  }

  @Test
  void variants_of_the_threshold_agree() {
    agree(
        state -> {
          ThresholdBenchmark benchmark = new ThresholdBenchmark();
          benchmark.state = state;
          benchmark.threshold();
        });
  }

  @Test
  void variants_of_the_merge_agree() {
    agree(
        state -> {
          MergeBenchmark benchmark = new MergeBenchmark();
          benchmark.state = state;
          benchmark.merge();
        });
  }

  @Test
  void one_pass_and_two_passes_agree() {
    AdamWBenchmark benchmark = new AdamWBenchmark();
    agree(
        state -> {
          benchmark.state = state;
          benchmark.onePass();
        },
        state -> {
          benchmark.state = state;
          benchmark.twoPasses();
        });
  }

  @Test
  void variants_of_the_call_agree() {
    CallBenchmark benchmark = new CallBenchmark();
    agree(
        state -> {
          benchmark.state = state;
          benchmark.zero();
          benchmark.importance();
        });
  }

  @Test
  void a_restored_state_is_the_one_it_began_as() {
    try (KernelState state = new KernelState("java", N)) {
      int before = state.fingerprint();
      state.kernels.zero(state.weights);
      assertNotEquals(before, state.fingerprint());
      state.restore();
      assertEquals(before, state.fingerprint());
    }
  }
}
