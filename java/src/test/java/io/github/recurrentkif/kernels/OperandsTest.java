package io.github.recurrentkif.kernels;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.kernels.cpu.CpuKernels;
import io.github.recurrentkif.kernels.reference.ReferenceKernels;
import io.github.recurrentkif.memory.ParameterLayout;
import java.util.stream.Stream;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class OperandsTest {

  private static final MergeRule RULE = MergeRule.reference();

  static Stream<Kernels> backends() {
    return Stream.of(new ReferenceKernels(), CpuKernels.open(2).kernels());
  }

  @ParameterizedTest
  @MethodSource("backends")
  void sidesThatDoNotMatchAreNeitherMergedNorCounted(Kernels kernels) {
    ParameterLayout layout = Workspace.layoutOf(50);
    try (Workspace space = new Workspace(layout);
        Workspace other = new Workspace(Workspace.layoutOf(60));
        Threshold each = Threshold.ofEachTensor(layout, kernels.device());
        Threshold eachOfOther = Threshold.ofEachTensor(other.layout, kernels.device())) {
      Importance inner = space.inner.importance();
      Importance outer = space.outer.importance();
      refused(
          "for all tensors together or for each alone",
          kernels,
          space,
          new Side(inner, each),
          space.outer);
      refused(
          "were given for another",
          kernels,
          space,
          new Side(inner, eachOfOther),
          new Side(outer, eachOfOther));
      refused("must share a layout", kernels, space, space.inner, other.outer);
      refused("must not be the same vector", kernels, space, space.inner, space.inner);
      assertEquals(2, kernels.maskCountsByTensor(space.inner, space.outer, RULE.score()).size());
    }
  }

  private static void refused(
      String reason, Kernels kernels, Workspace space, Side inner, Side outer) {
    for (Executable call :
        new Executable[] {
          () -> kernels.merge(space.weights, space.base, space.snapshot, inner, outer, RULE),
          () -> kernels.maskCounts(inner, outer, RULE.score()),
          () -> kernels.maskCountsByTensor(inner, outer, RULE.score())
        }) {
      String message =
          String.valueOf(assertThrows(IllegalArgumentException.class, call).getMessage());
      assertTrue(message.contains(reason), message);
    }
  }
}
