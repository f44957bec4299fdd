package io.github.recurrentkif.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.kernels.Sizes;
import io.github.recurrentkif.kernels.Sizes.Size;
import io.github.recurrentkif.kernels.Workspace;
import io.github.recurrentkif.kernels.Workspace.Values;
import io.github.recurrentkif.kernels.reference.ReferenceKernels;
import io.github.recurrentkif.memory.ParameterLayout;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The CUDA source, on the processor, gives the bits of the reference in all its variants. */
class CudaAgreementTest {

  /** Larger ones are for one variant and one kind of values: blocks and strides, not numbers. */
  private static final int SMALL = 5000;

  private record Setting(int variant, long orderOfThreads, int multiprocessors) {}

  private static final List<Setting> SETTINGS =
      List.of(new Setting(1, 0, 1), new Setting(2, 0, 2), new Setting(3, 77, 3));

  @ParameterizedTest
  @EnumSource
  void everyOperationGivesTheSameBitsInEveryVariantAtEverySize(Values values) {
    int compared = 0;
    for (Size size : Sizes.all()) {
      boolean small = size.elements() <= SMALL;
      if (!small && values != Values.ORDINARY) {
        continue;
      }
      compared += compare(size, values, small ? SETTINGS : SETTINGS.subList(1, 2));
    }
    assertTrue(compared > 1000, "compared " + compared);
  }

  private static int compare(Size size, Values values, List<Setting> settings) {
    List<Integer> compared = new ArrayList<>();
    ParameterLayout layout = Workspace.layoutOf(size.elements());
    for (Setting setting : settings) {
      EmulatorLauncher launcher = Emulator.launcher(setting.multiprocessors());
      launcher.randomOrder(setting.orderOfThreads());
      try (CudaKernels kernels = new CudaKernels(launcher, setting.variant());
          Workspace start = Workspace.random(layout, values, size.elements());
          Workspace expected = new Workspace(layout);
          Workspace actual = new Workspace(layout, kernels.device());
          ReferenceKernels reference = new ReferenceKernels()) {
        CudaOperations.all()
            .forEach(
                (name, operation) -> {
                  String where = name + " at " + size + " with " + setting;
                  expected.copyFrom(start);
                  actual.copyFrom(start);
                  assertEquals(
                      operation.run(reference, expected), operation.run(kernels, actual), where);
                  actual.assertSameAs(expected, where);
                  compared.add(1);
                });
      }
      launcher.randomOrder(0);
    }
    return compared.size();
  }
}
