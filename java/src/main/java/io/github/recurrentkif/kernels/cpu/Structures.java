package io.github.recurrentkif.kernels.cpu;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import io.github.recurrentkif.kernels.AdamWStep;
import io.github.recurrentkif.kernels.ImportanceRule;
import io.github.recurrentkif.kernels.MergeRule;
import io.github.recurrentkif.kernels.MergeRule.Coefficients;
import io.github.recurrentkif.kernels.MergeRule.Masks;
import io.github.recurrentkif.kernels.MergeRule.Soft;
import io.github.recurrentkif.kernels.Score;
import java.lang.foreign.Arena;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/** The structures of {@code kif.h}, one of each, filled anew for each call. */
final class Structures {

  static final MemoryLayout MERGE_RULE =
      MemoryLayout.structLayout(
          MemoryLayout.sequenceLayout(2, JAVA_INT),
          MemoryLayout.sequenceLayout(9, JAVA_FLOAT),
          MemoryLayout.sequenceLayout(2, JAVA_INT));

  private final MemorySegment adamWStep;
  private final MemorySegment importanceRule;
  private @Nullable ImportanceRule written; // what that holds: one rule is used again and again
  private final MemorySegment mergeRule;

  /** The structures live as long as the arena. */
  Structures(Arena arena) {
    adamWStep = unguarded(arena.allocate(JAVA_FLOAT, 7));
    importanceRule =
        unguarded(
            arena.allocate(
                MemoryLayout.structLayout(JAVA_INT, MemoryLayout.sequenceLayout(4, JAVA_FLOAT))));
    mergeRule = unguarded(arena.allocate(MERGE_RULE));
  }

  /**
   * The same memory without its arena, which every access and every call would ask, and mark as in
   * use, at the price of a good part of a call. Whoever owns the arena does not close it meanwhile.
   */
  private static MemorySegment unguarded(MemorySegment segment) {
    return MemorySegment.ofAddress(segment.address()).reinterpret(segment.byteSize());
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
    if (!rule.equals(written)) {
      write(importanceRule, rule);
      written = rule;
    }
    return importanceRule;
  }

  private static void write(MemorySegment target, ImportanceRule rule) {
    int formula =
        switch (rule.formula()) {
          case FIRST_ORDER -> 0;
          case SECOND_ORDER -> 1;
          case MIXED -> 2;
        };
    target.setAtIndex(JAVA_INT, 0, formula);
    target.setAtIndex(JAVA_FLOAT, 1, rule.decay1());
    target.setAtIndex(JAVA_FLOAT, 2, rule.gain1());
    target.setAtIndex(JAVA_FLOAT, 3, rule.decay2());
    target.setAtIndex(JAVA_FLOAT, 4, rule.gain2());
  }

  MemorySegment write(MergeRule rule) {
    write(mergeRule, rule);
    return mergeRule;
  }

  /** Fills a {@code kif_merge_rule} of {@link #MERGE_RULE}. */
  static void write(MemorySegment target, MergeRule rule) {
    target.fill((byte) 0);
    target.setAtIndex(JAVA_INT, 0, number(rule.score()));
    switch (rule.weighting()) {
      case Masks masks -> {
        target.setAtIndex(JAVA_INT, 1, 0);
        write(target, masks.shared(), 2);
        write(target, masks.newOnly(), 4);
        write(target, masks.oldOnly(), 6);
        write(target, masks.redundant(), 8);
      }
      case Soft soft -> {
        target.setAtIndex(JAVA_INT, 1, 1);
        target.setAtIndex(JAVA_FLOAT, 10, soft.roundedTemperature());
      }
    }
    target.setAtIndex(JAVA_INT, 11, rule.resetInner() ? 1 : 0);
    target.setAtIndex(JAVA_INT, 12, rule.resetOuter() ? 1 : 0);
  }

  private static void write(MemorySegment target, Coefficients coefficients, int index) {
    target.setAtIndex(JAVA_FLOAT, index, coefficients.inner());
    target.setAtIndex(JAVA_FLOAT, index + 1, coefficients.outer());
  }

  static int number(Score score) {
    return switch (score) {
      case SENSITIVITY_TIMES_UNCERTAINTY -> 0;
      case SENSITIVITY -> 1;
    };
  }
}
