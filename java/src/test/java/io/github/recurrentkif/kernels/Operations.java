package io.github.recurrentkif.kernels;

import io.github.recurrentkif.kernels.ImportanceRule.Formula;
import io.github.recurrentkif.kernels.MergeRule.Coefficients;
import io.github.recurrentkif.kernels.MergeRule.Masks;
import io.github.recurrentkif.kernels.MergeRule.Soft;
import io.github.recurrentkif.kernels.MergeRule.Weighting;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BiFunction;
import java.util.stream.IntStream;
import java.util.stream.Stream;

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

  private static final Masks MASKS =
      new Masks(
          new Coefficients(0.4f, 0.6f),
          new Coefficients(1, 0),
          new Coefficients(0.1f, 0.9f),
          new Coefficients(0.5f, 0.25f));

  private Operations() {}

  public static Map<String, Operation> all() {
    Map<String, Operation> operations = new LinkedHashMap<>();
    operations.put("zero", (k, s) -> done(() -> k.zero(s.weights)));
    operations.put("copy", (k, s) -> done(() -> k.copy(s.weights, s.snapshot)));
    operations.put("accumulate", (k, s) -> done(() -> k.accumulate(s.weights, s.gradient, 0.3f)));
    operations.put(
        "accumulate product",
        (k, s) -> done(() -> k.accumulateProduct(s.weights, s.gradient, s.base, 0.3f)));
    operations.put(
        "accumulate square",
        (k, s) -> done(() -> k.accumulateProduct(s.weights, s.gradient, s.gradient, 0.3f)));
    operations.put("squared norm", (k, s) -> k.squaredNorm(s.gradient));
    operations.put(
        "AdamW",
        (k, s) ->
            done(() -> k.adamW(s.weights, s.gradient, s.firstMoment, s.secondMoment, CLIP, STEP)));
    for (Formula formula : Formula.values()) {
      ImportanceRule rule = new ImportanceRule(formula, 0.85, 0.75);
      operations.put(
          "importance, " + formula,
          (k, s) ->
              done(() -> k.importance(s.weights, s.gradient, CLIP, s.inner.importance(), rule)));
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
                          s.inner.importance(),
                          rule)));
    }
    for (Score score : Score.values()) {
      operations.put("thresholds of " + score, (k, s) -> thresholds(k, s, score));
      operations.put("mask counts of " + score, (k, s) -> k.maskCounts(s.inner, s.outer, score));
      operations.put(
          "mask counts of " + score + " where zero lies above a threshold",
          (k, s) -> {
            Threshold inner = s.inner.threshold();
            inner.device().upload(MemorySegment.ofArray(new float[] {-1, 0}), inner.segment());
            return k.maskCounts(s.inner, s.outer, score);
          });
      operations.put(
          "range of " + score,
          (k, s) -> done(() -> k.range(s.inner.importance(), score, s.inner.threshold())));
      operations.put(
          "thresholds, range and mask counts of " + score + " in each tensor",
          (k, s) -> inEachTensor(k, s, (inner, outer) -> eachTensor(k, inner, outer, score)));
      operations.put(
          "mask counts of each tensor of " + score,
          (k, s) -> k.maskCountsByTensor(s.inner, s.outer, score));
      for (int resets = 0; resets < 4; resets++) {
        boolean inner = (resets & 1) != 0;
        boolean outer = (resets & 2) != 0;
        MergeRule masks = new MergeRule(score, MASKS, inner, outer);
        operations.put(
            "merge by " + masks,
            (k, s) -> done(() -> k.merge(s.weights, s.base, s.snapshot, s.inner, s.outer, masks)));
        MergeRule soft = new MergeRule(score, new Soft(0.25), inner, outer);
        operations.put(
            "merge by " + soft,
            (k, s) -> done(() -> k.merge(s.weights, s.base, s.snapshot, s.inner, s.outer, soft)));
      }
      for (Weighting weighting : new Weighting[] {MASKS, new Soft(1e-3), new Soft(1e30)}) {
        MergeRule rule = new MergeRule(score, weighting, true, false);
        operations.put("a fusion by " + rule, (k, s) -> fusion(k, s, s.inner, s.outer, rule));
        operations.put(
            "a fusion in each tensor by " + rule,
            (k, s) -> inEachTensor(k, s, (inner, outer) -> fusion(k, s, inner, outer, rule)));
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

  /** What a merge holds scores against, and the merge. */
  private static List<Bounds> fusion(
      Kernels k, Workspace s, Side inner, Side outer, MergeRule rule) {
    k.fuse(s.weights, s.base, s.snapshot, inner, outer, 0.8, rule);
    return Stream.concat(bounds(inner.threshold()), bounds(outer.threshold())).toList();
  }

  private static List<Object> eachTensor(Kernels k, Side inner, Side outer, Score score) {
    List<Object> results = new ArrayList<>();
    for (double quantile : new double[] {0, 0.8, 1}) {
      k.threshold(inner.importance(), score, quantile, inner.threshold());
      bounds(inner.threshold()).forEach(results::add);
    }
    k.range(outer.importance(), score, outer.threshold());
    bounds(outer.threshold()).forEach(results::add);
    k.threshold(inner.importance(), score, 0.5, inner.threshold());
    results.add(k.maskCounts(inner, outer, score));
    results.add(k.maskCountsByTensor(inner, outer, score));
    return results;
  }

  /** Gives an operation the sides of a workspace, but with thresholds of each tensor. */
  private static <T> T inEachTensor(
      Kernels kernels, Workspace space, BiFunction<Side, Side, T> operation) {
    try (Threshold inner = Threshold.ofEachTensor(space.layout, kernels.device());
        Threshold outer = Threshold.ofEachTensor(space.layout, kernels.device())) {
      return operation.apply(
          new Side(space.inner.importance(), inner), new Side(space.outer.importance(), outer));
    }
  }

  private static Stream<Bounds> bounds(Threshold threshold) {
    return IntStream.range(0, threshold.parts()).mapToObj(threshold::bounds);
  }

  /** Several quantiles, so that ranks fall on and between elements. */
  private static List<Integer> thresholds(Kernels kernels, Workspace space, Score score) {
    List<Integer> bits = new ArrayList<>();
    for (double quantile : new double[] {0, 0.3, 0.8, 0.999, 1}) {
      kernels.threshold(space.inner.importance(), score, quantile, space.inner.threshold());
      bits.add(Float.floatToIntBits(space.inner.threshold().value()));
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
