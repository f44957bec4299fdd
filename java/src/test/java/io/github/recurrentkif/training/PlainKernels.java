package io.github.recurrentkif.training;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import io.github.recurrentkif.kernels.AdamWStep;
import io.github.recurrentkif.kernels.DropoutMask;
import io.github.recurrentkif.kernels.Importance;
import io.github.recurrentkif.kernels.ImportanceRule;
import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.kernels.MaskCounts;
import io.github.recurrentkif.kernels.MergeRule;
import io.github.recurrentkif.kernels.Score;
import io.github.recurrentkif.kernels.Threshold;
import io.github.recurrentkif.memory.Device;
import io.github.recurrentkif.memory.HostMemory;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.memory.ParameterVector;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/** The kernels' formulas, one element at a time, on the host. */
public final class PlainKernels implements Kernels {

  private final Device device = new HostMemory();

  @Override
  public String description() {
    return "plain loops for tests";
  }

  @Override
  public Device device() {
    return device;
  }

  private static float get(ParameterVector vector, long i) {
    return vector.segment().getAtIndex(JAVA_FLOAT, i);
  }

  private static void set(ParameterVector vector, long i, float value) {
    vector.segment().setAtIndex(JAVA_FLOAT, i, value);
  }

  @Override
  public void zero(ParameterVector vector) {
    vector.segment().fill((byte) 0);
  }

  @Override
  public void copy(ParameterVector source, ParameterVector target) {
    target.segment().copyFrom(source.segment());
  }

  @Override
  public void accumulate(ParameterVector sum, ParameterVector term, float scale) {
    for (long i = 0; i < sum.layout().length(); i++) {
      set(sum, i, get(sum, i) + scale * get(term, i));
    }
  }

  @Override
  public double squaredNorm(ParameterVector vector) {
    double sum = 0;
    for (long i = 0; i < vector.layout().length(); i++) {
      sum += (double) get(vector, i) * get(vector, i);
    }
    return sum;
  }

  @Override
  public void adamW(
      ParameterVector weights,
      ParameterVector gradient,
      ParameterVector firstMoment,
      ParameterVector secondMoment,
      float clip,
      AdamWStep step) {
    for (long i = 0; i < weights.layout().length(); i++) {
      float g = get(gradient, i) * clip;
      float w = get(weights, i) * step.decay();
      float m = get(firstMoment, i);
      m = m + step.gain1() * (g - m);
      float v = get(secondMoment, i) * step.decay2() + step.gain2() * (g * g);
      float denominator = (float) Math.sqrt(v) / step.correction2() + step.roundedEpsilon();
      set(firstMoment, i, m);
      set(secondMoment, i, v);
      set(weights, i, w - step.stepSize() * (m / denominator));
    }
  }

  @Override
  public void importance(
      ParameterVector weights,
      ParameterVector gradient,
      float clip,
      Importance importance,
      ImportanceRule rule) {
    for (long i = 0; i < weights.layout().length(); i++) {
      float product = get(weights, i) * (get(gradient, i) * clip);
      float s =
          switch (rule.formula()) {
            case FIRST_ORDER -> Math.abs(product);
            case SECOND_ORDER -> Math.abs(product * product);
            case MIXED -> Math.abs(product - 0.5f * (product * product));
          };
      float sensitivity = rule.decay1() * get(importance.sensitivity(), i) + rule.gain1() * s;
      float uncertainty =
          rule.decay2() * get(importance.uncertainty(), i)
              + rule.gain2() * Math.abs(s - sensitivity);
      set(importance.sensitivity(), i, sensitivity);
      set(importance.uncertainty(), i, uncertainty);
    }
  }

  @Override
  public void adamWWithImportance(
      ParameterVector weights,
      ParameterVector gradient,
      ParameterVector firstMoment,
      ParameterVector secondMoment,
      float clip,
      AdamWStep step,
      Importance importance,
      ImportanceRule rule) {
    adamW(weights, gradient, firstMoment, secondMoment, clip, step);
    importance(weights, gradient, clip, importance, rule);
  }

  private static float score(Importance importance, Score score, long i) {
    float sensitivity = get(importance.sensitivity(), i);
    return switch (score) {
      case SENSITIVITY_TIMES_UNCERTAINTY -> sensitivity * get(importance.uncertainty(), i);
      case SENSITIVITY -> sensitivity;
    };
  }

  /** The places of the arena that are not padding. */
  private static List<Long> places(ParameterLayout layout) {
    List<Long> places = new ArrayList<>();
    for (ParameterLayout.Tensor tensor : layout.tensors()) {
      for (long i = 0; i < tensor.elements(); i++) {
        places.add(tensor.offset() + i);
      }
    }
    return places;
  }

  @Override
  public void threshold(Importance importance, Score score, double quantile, Threshold result) {
    List<Float> scores = new ArrayList<>();
    for (long i : places(importance.sensitivity().layout())) {
      scores.add(score(importance, score, i));
    }
    Collections.sort(scores);
    float rank = (float) quantile * (scores.size() - 1);
    int below = (int) Math.floor(rank);
    float low = scores.get(below);
    float high = scores.get(Math.min(below + 1, scores.size() - 1));
    float weight = rank - below;
    float value = weight < 0.5f ? low + weight * (high - low) : high - (high - low) * (1 - weight);
    result.segment().set(JAVA_FLOAT, 0, value);
  }

  @Override
  public void merge(
      ParameterVector weights,
      ParameterVector base,
      ParameterVector snapshot,
      Importance inner,
      Importance outer,
      Threshold innerThreshold,
      Threshold outerThreshold,
      MergeRule rule) {
    for (long i = 0; i < weights.layout().length(); i++) {
      boolean isNew = score(inner, rule.score(), i) > innerThreshold.value();
      boolean isOld = score(outer, rule.score(), i) > outerThreshold.value();
      MergeRule.Coefficients factors =
          isNew
              ? (isOld ? rule.shared() : rule.newOnly())
              : (isOld ? rule.oldOnly() : rule.redundant());
      float b = get(base, i);
      float s = get(snapshot, i);
      float merged = b + (factors.inner() * (s - b) + factors.outer() * (get(weights, i) - s));
      set(weights, i, merged);
      set(base, i, merged);
    }
    reset(inner, rule.resetInner());
    reset(outer, rule.resetOuter());
  }

  private void reset(Importance importance, boolean wanted) {
    if (wanted) {
      zero(importance.sensitivity());
      zero(importance.uncertainty());
    }
  }

  @Override
  public MaskCounts maskCounts(
      Importance inner,
      Importance outer,
      Threshold innerThreshold,
      Threshold outerThreshold,
      Score score) {
    long[] counts = new long[4];
    for (long i : places(inner.sensitivity().layout())) {
      boolean isNew = score(inner, score, i) > innerThreshold.value();
      boolean isOld = score(outer, score, i) > outerThreshold.value();
      counts[isNew ? (isOld ? 0 : 1) : (isOld ? 2 : 3)]++;
    }
    return new MaskCounts(counts[0], counts[1], counts[2], counts[3]);
  }

  @Override
  public void dropoutMask(
      MemorySegment mask, long planes, long rows, long columns, DropoutMask rule) {
    throw new UnsupportedOperationException("no test of this package draws dropouts");
  }

  @Override
  public void close() {}
}
