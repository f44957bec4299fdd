package io.github.recurrentkif.kernels;

import io.github.recurrentkif.kernels.ImportanceRule.Formula;
import io.github.recurrentkif.kernels.MergeRule.Coefficients;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Every operation with every choice it has, as one lambda for all backends. */
public final class Operations {

  /** Runs on the vectors of a workspace. */
  @FunctionalInterface
  public interface Operation {
    /**
     * @return what the operation returns, or an empty string
     */
    Object run(Kernels kernels, Workspace space);
  }

  public static final float CLIP = 0.37f;
  public static final AdamWStep STEP = new AdamWStep(3e-4, 0.9, 0.999, 1e-8, 0.01, 7);
  public static final ImportanceRule RULE = new ImportanceRule(Formula.FIRST_ORDER, 0.85, 0.75);

  private Operations() {}

  public static Map<String, Operation> all() {
    Map<String, Operation> operations = new LinkedHashMap<>();
    operations.put("zero", (k, s) -> done(() -> k.zero(s.weights)));
    operations.put("copy", (k, s) -> done(() -> k.copy(s.weights, s.snapshot)));
    operations.put("accumulate", (k, s) -> done(() -> k.accumulate(s.weights, s.gradient, 0.3f)));
    operations.put("squared norm", (k, s) -> k.squaredNorm(s.gradient));
    operations.put(
        "AdamW",
        (k, s) ->
            done(() -> k.adamW(s.weights, s.gradient, s.firstMoment, s.secondMoment, CLIP, STEP)));
    for (Formula formula : Formula.values()) {
      ImportanceRule rule = new ImportanceRule(formula, 0.85, 0.75);
      operations.put(
          "importance, " + formula,
          (k, s) -> done(() -> k.importance(s.weights, s.gradient, CLIP, s.inner, rule)));
      operations.put(
          "AdamW with importance, " + formula,
          (k, s) ->
              done(
                  () ->
                      k.adamWWithImportance(
                          s.weights,
                          s.gradient,
                          s.firstMoment,
                          s.secondMoment,
                          CLIP,
                          STEP,
                          s.inner,
                          rule)));
    }
    for (Score score : Score.values()) {
      operations.put("thresholds of " + score, (k, s) -> thresholds(k, s, score));
      operations.put(
          "mask counts of " + score,
          (k, s) -> k.maskCounts(s.inner, s.outer, s.innerThreshold, s.outerThreshold, score));
      operations.put(
          "mask counts of " + score + " where zero lies above a threshold",
          (k, s) -> {
            s.innerThreshold
                .device()
                .upload(MemorySegment.ofArray(new float[] {-1}), s.innerThreshold.segment());
            return k.maskCounts(s.inner, s.outer, s.innerThreshold, s.outerThreshold, score);
          });
      for (int resets = 0; resets < 4; resets++) {
        MergeRule rule =
            new MergeRule(
                score,
                new Coefficients(0.4f, 0.6f),
                new Coefficients(1, 0),
                new Coefficients(0.1f, 0.9f),
                new Coefficients(0.5f, 0.25f),
                (resets & 1) != 0,
                (resets & 2) != 0);
        operations.put(
            "merge by " + score + ", resets " + resets,
            (k, s) ->
                done(
                    () ->
                        k.merge(
                            s.weights,
                            s.base,
                            s.snapshot,
                            s.inner,
                            s.outer,
                            s.innerThreshold,
                            s.outerThreshold,
                            rule)));
      }
    }
    operations.put(
        "dropout mask",
        (k, s) -> {
          long columns = s.layout.elements() % 999;
          return dropoutMask(k, 3, s.layout.elements() / 999 + 1, columns);
        });
    return operations;
  }

  /** Several quantiles, so that ranks fall on and between elements. */
  private static List<Integer> thresholds(Kernels kernels, Workspace space, Score score) {
    List<Integer> bits = new ArrayList<>();
    for (double quantile : new double[] {0, 0.3, 0.8, 0.999, 1}) {
      kernels.threshold(space.inner, score, quantile, space.innerThreshold);
      bits.add(Float.floatToIntBits(space.innerThreshold.value()));
    }
    return bits;
  }

  private static int dropoutMask(Kernels kernels, long planes, long rows, long columns) {
    DropoutMask rule = new DropoutMask(RandomKey.ofSeed(5).at(3), 11, 0.1);
    try (Arena arena = Arena.ofShared()) {
      float[] values = new float[Math.toIntExact(planes * rows * columns)];
      MemorySegment mask = kernels.device().allocate((long) values.length * Float.BYTES, arena);
      kernels.dropoutMask(mask, planes, rows, columns, rule);
      kernels.device().download(mask, MemorySegment.ofArray(values));
      return Arrays.hashCode(values);
    }
  }

  private static String done(Runnable operation) {
    operation.run();
    return "";
  }
}
