package io.github.recurrentkif.continual;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.continual.LearningEvent.BeforeMerge;
import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.kernels.MergeRule;
import io.github.recurrentkif.kernels.MergeRule.Soft;
import io.github.recurrentkif.kernels.Side;
import io.github.recurrentkif.kernels.reference.ReferenceKernels;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.memory.Shape;
import java.util.LinkedHashMap;
import org.junit.jupiter.api.Test;

class BeforeMergeTest {

  @Test
  void classesAreCountedOfAMergeByMasksAndRefusedOfOneBySoftWeights() {
    LinkedHashMap<String, Shape> shapes = new LinkedHashMap<>();
    shapes.put("w", Shape.of(5));
    ParameterLayout layout = ParameterLayout.of(shapes);
    MergeRule masks = MergeRule.reference();
    MergeRule soft = new MergeRule(masks.score(), new Soft(0.5), false, false);
    try (Kernels kernels = new ReferenceKernels();
        ParameterVector weights = new ParameterVector(layout, kernels.device());
        Side inner = Side.zero(layout, kernels.device());
        Side outer = Side.zero(layout, kernels.device())) {
      BeforeMerge hard =
          new BeforeMerge(8, weights, weights, weights, inner, outer, masks, kernels);
      assertEquals(5, hard.maskCounts().redundant());
      assertEquals(1, hard.maskCountsByTensor().size());

      BeforeMerge weighed =
          new BeforeMerge(8, weights, weights, weights, inner, outer, soft, kernels);
      String refused =
          String.valueOf(
              assertThrows(IllegalStateException.class, weighed::maskCounts).getMessage());
      assertTrue(refused.contains("soft weights has no classes"), refused);
      assertThrows(IllegalStateException.class, weighed::maskCountsByTensor);
    }
  }
}
