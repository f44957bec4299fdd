package io.github.recurrentkif.kernels.cpu;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import io.github.recurrentkif.kernels.AdamWStep;
import io.github.recurrentkif.kernels.ImportanceRule;
import io.github.recurrentkif.kernels.MergeRule;
import io.github.recurrentkif.kernels.MergeRule.Coefficients;
import io.github.recurrentkif.kernels.Score;
import java.lang.foreign.Arena;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;

/** The structures of {@code kif.h}, one of each, filled anew for each call. */
final class Structures {

  private final MemorySegment adamWStep;
  private final MemorySegment importanceRule;
  private final MemorySegment mergeRule;

  /** The structures live as long as the arena. */
  Structures(Arena arena) {
    adamWStep = arena.allocate(JAVA_FLOAT, 7);
    importanceRule =
        arena.allocate(
            MemoryLayout.structLayout(JAVA_INT, MemoryLayout.sequenceLayout(4, JAVA_FLOAT)));
    mergeRule =
        arena.allocate(
            MemoryLayout.structLayout(
                JAVA_INT,
                MemoryLayout.sequenceLayout(8, JAVA_FLOAT),
                MemoryLayout.sequenceLayout(2, JAVA_INT)));
  }

  MemorySegment write(AdamWStep step) {
    float[] values = {
      step.decay(),
      step.gain1(),
      step.decay2(),
      step.gain2(),
      step.stepSize(),
      step.correction2(),
      step.roundedEpsilon()
    };
    MemorySegment.copy(values, 0, adamWStep, JAVA_FLOAT, 0, values.length);
    return adamWStep;
  }

  MemorySegment write(ImportanceRule rule) {
    int formula =
        switch (rule.formula()) {
          case FIRST_ORDER -> 0;
          case SECOND_ORDER -> 1;
          case MIXED -> 2;
        };
    importanceRule.setAtIndex(JAVA_INT, 0, formula);
    importanceRule.setAtIndex(JAVA_FLOAT, 1, rule.decay1());
    importanceRule.setAtIndex(JAVA_FLOAT, 2, rule.gain1());
    importanceRule.setAtIndex(JAVA_FLOAT, 3, rule.decay2());
    importanceRule.setAtIndex(JAVA_FLOAT, 4, rule.gain2());
    return importanceRule;
  }

  MemorySegment write(MergeRule rule) {
    mergeRule.setAtIndex(JAVA_INT, 0, number(rule.score()));
    write(rule.shared(), 1);
    write(rule.newOnly(), 3);
    write(rule.oldOnly(), 5);
    write(rule.redundant(), 7);
    mergeRule.setAtIndex(JAVA_INT, 9, rule.resetInner() ? 1 : 0);
    mergeRule.setAtIndex(JAVA_INT, 10, rule.resetOuter() ? 1 : 0);
    return mergeRule;
  }

  private void write(Coefficients coefficients, int index) {
    mergeRule.setAtIndex(JAVA_FLOAT, index, coefficients.inner());
    mergeRule.setAtIndex(JAVA_FLOAT, index + 1, coefficients.outer());
  }

  static int number(Score score) {
    return switch (score) {
      case SENSITIVITY_TIMES_UNCERTAINTY -> 0;
      case SENSITIVITY -> 1;
    };
  }
}
