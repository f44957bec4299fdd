package io.github.recurrentkif.kernels.reference;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import io.github.recurrentkif.kernels.AdamWStep;
import io.github.recurrentkif.kernels.Bounds;
import io.github.recurrentkif.kernels.DropoutMask;
import io.github.recurrentkif.kernels.Importance;
import io.github.recurrentkif.kernels.ImportanceRule;
import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.kernels.MaskCounts;
import io.github.recurrentkif.kernels.MergeRule;
import io.github.recurrentkif.kernels.MergeRule.Coefficients;
import io.github.recurrentkif.kernels.MergeRule.Masks;
import io.github.recurrentkif.kernels.MergeRule.Soft;
import io.github.recurrentkif.kernels.MergeRule.Weighting;
import io.github.recurrentkif.kernels.Operands;
import io.github.recurrentkif.kernels.Score;
import io.github.recurrentkif.kernels.Side;
import io.github.recurrentkif.kernels.Threshold;
import io.github.recurrentkif.memory.Device;
import io.github.recurrentkif.memory.HostMemory;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.memory.ParameterVector;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * The kernels as their formulas read, one element after another in scalar Java: the specification
 * of the other backends, and what runs where none of them can.
 */
public final class ReferenceKernels implements Kernels {

  private static final int NORM_BLOCK = 4096;
  private static final int NORM_LANES = 256;

  private final Device device = new HostMemory();

  @Override
  public String description() {
    return "scalar Java, 1 thread";
  }

  @Override
  public Device device() {
    return device;
  }

  @Override
  public void zero(ParameterVector vector) {
    Operands.requireAlike(device, vector);
    vector.segment().fill((byte) 0);
  }

  @Override
  public void copy(ParameterVector source, ParameterVector target) {
    Operands.requireAlike(device, source, target);
    target.segment().copyFrom(source.segment());
  }

  @Override
  public void accumulate(ParameterVector sum, ParameterVector term, float scale) {
    long length = Operands.requireAlike(device, sum, term).length();
    MemorySegment s = sum.segment();
    MemorySegment t = term.segment();
    for (long i = 0; i < length; i++) {
      set(s, i, get(s, i) + scale * get(t, i));
    }
  }

  @Override
  public void accumulateProduct(
      ParameterVector sum, ParameterVector first, ParameterVector second, float scale) {
    long length = Operands.requireProduct(device, sum, first, second).length();
    MemorySegment s = sum.segment();
    MemorySegment a = first.segment();
    MemorySegment b = second.segment();
    for (long i = 0; i < length; i++) {
      set(s, i, get(s, i) + scale * (get(a, i) * get(b, i)));
    }
  }

  /**
   * Blocks of {@value #NORM_BLOCK} elements; in each, lane j of {@value #NORM_LANES} adds the
   * squares of elements j, j + {@value #NORM_LANES}, ... in this order. Lanes and then blocks are
   * folded as {@link #fold} does.
   */
  @Override
  public double squaredNorm(ParameterVector vector) {
    long length = Operands.requireAlike(device, vector).length();
    MemorySegment v = vector.segment();
    double[] blocks = new double[Math.toIntExact(Math.ceilDiv(length, NORM_BLOCK))];
    for (int block = 0; block < blocks.length; block++) {
      long begin = (long) block * NORM_BLOCK;
      long end = Math.min(length, begin + NORM_BLOCK);
      double[] lanes = new double[NORM_LANES];
      for (long i = begin; i < end; i++) {
        double x = get(v, i);
        lanes[(int) (i % NORM_LANES)] += x * x;
      }
      for (int width = NORM_LANES / 2; width > 0; width /= 2) {
        for (int lane = 0; lane < width; lane++) {
          lanes[lane] += lanes[lane + width];
        }
      }
      blocks[block] = lanes[0];
    }
    return fold(blocks);
  }

  /** Adds neighbours, then the sums of neighbours, and so on. */
  private static double fold(double[] sums) {
    for (int stride = 1; stride < sums.length; stride *= 2) {
      for (int i = 0; i + stride < sums.length; i += 2 * stride) {
        sums[i] += sums[i + stride];
      }
    }
    return sums.length == 0 ? 0 : sums[0];
  }

  @Override
  public void adamW(
      ParameterVector weights,
      ParameterVector gradient,
      ParameterVector firstMoment,
      ParameterVector secondMoment,
      float clip,
      AdamWStep step) {
    ParameterLayout layout =
        Operands.requireAlike(device, weights, gradient, firstMoment, secondMoment);
    float decay = step.decay();
    float gain1 = step.gain1();
    float decay2 = step.decay2();
    float gain2 = step.gain2();
    float stepSize = step.stepSize();
    float correction2 = step.correction2();
    float epsilon = step.roundedEpsilon();
    for (long i = 0; i < layout.length(); i++) {
      float w = get(weights.segment(), i);
      float g = get(gradient.segment(), i) * clip;
      float m = get(firstMoment.segment(), i);
      float v = get(secondMoment.segment(), i);
      w = w * decay;
      m = m + gain1 * (g - m);
      v = v * decay2 + gain2 * (g * g);
      // The square root in double, rounded, is the float32 square root.
      w = w - stepSize * (m / ((float) Math.sqrt(v) / correction2 + epsilon));
      set(weights.segment(), i, w);
      set(firstMoment.segment(), i, m);
      set(secondMoment.segment(), i, v);
    }
  }

  @Override
  public void importance(
      ParameterVector weights,
      ParameterVector gradient,
      float clip,
      Importance importance,
      ImportanceRule rule) {
    ParameterVector sensitivity = importance.sensitivity();
    ParameterVector uncertainty = importance.uncertainty();
    ParameterLayout layout =
        Operands.requireAlike(device, weights, gradient, sensitivity, uncertainty);
    float decay1 = rule.decay1();
    float gain1 = rule.gain1();
    float decay2 = rule.decay2();
    float gain2 = rule.gain2();
    for (long i = 0; i < layout.length(); i++) {
      float p = get(weights.segment(), i) * (get(gradient.segment(), i) * clip);
      float s =
          switch (rule.formula()) {
            case FIRST_ORDER -> Math.abs(p);
            case SECOND_ORDER -> Math.abs(p * p);
            case MIXED -> Math.abs(p - 0.5f * (p * p));
          };
      float smoothed = decay1 * get(sensitivity.segment(), i) + gain1 * s;
      float strayed = decay2 * get(uncertainty.segment(), i) + gain2 * Math.abs(s - smoothed);
      set(sensitivity.segment(), i, smoothed);
      set(uncertainty.segment(), i, strayed);
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
    Operands.requireAlike(
        device,
        weights,
        gradient,
        firstMoment,
        secondMoment,
        importance.sensitivity(),
        importance.uncertainty());
    adamW(weights, gradient, firstMoment, secondMoment, clip, step);
    importance(weights, gradient, clip, importance, rule);
  }

  @Override
  public void threshold(Importance importance, Score score, double quantile, Threshold result) {
    ParameterLayout layout = Operands.requireScores(device, importance, result);
    Operands.requireQuantile(quantile);
    if (result.layout().isEmpty()) {
      float value =
          Quantile.of(
              i -> score(importance, score, i), layout.length(), layout.padding(), quantile);
      set(result.segment(), 0, value);
      return;
    }
    for (int part = 0; part < result.parts(); part++) {
      ParameterLayout.Tensor tensor = layout.tensors().get(part);
      float value =
          Quantile.of(
              i -> score(importance, score, tensor.offset() + i), tensor.elements(), 0, quantile);
      set(result.segment(), part, value);
    }
  }

  @Override
  public void range(Importance importance, Score score, Threshold result) {
    ParameterLayout layout = Operands.requireScores(device, importance, result);
    Bounds[] found = new Bounds[result.parts()];
    Arrays.fill(found, Bounds.OF_NOTHING);
    for (int t = 0; t < layout.tensors().size(); t++) {
      int part = result.layout().isEmpty() ? 0 : t;
      ParameterLayout.Tensor tensor = layout.tensors().get(t);
      for (long i = tensor.offset(); i < tensor.offset() + tensor.elements(); i++) {
        float magnitude = Math.abs(score(importance, score, i));
        found[part] = found[part].and(new Bounds(magnitude, magnitude));
      }
    }
    for (int part = 0; part < found.length; part++) {
      boolean nothing = found[part].equals(Bounds.OF_NOTHING);
      set(result.segment(), part, nothing ? Float.NaN : found[part].low());
      set(result.segment(), found.length + part, nothing ? Float.NaN : found[part].high());
    }
  }

  @Override
  public void merge(
      ParameterVector weights,
      ParameterVector base,
      ParameterVector snapshot,
      Side inner,
      Side outer,
      MergeRule rule) {
    ParameterLayout layout = Operands.requireMerge(device, weights, base, snapshot, inner, outer);
    for (int part = 0; part < inner.threshold().parts(); part++) {
      Bounds innerBounds = inner.threshold().bounds(part);
      Bounds outerBounds = outer.threshold().bounds(part);
      Span span = span(layout, inner.threshold(), part);
      for (long i = span.begin(); i < span.end(); i++) {
        Coefficients c =
            coefficients(
                score(inner.importance(), rule.score(), i),
                score(outer.importance(), rule.score(), i),
                innerBounds,
                outerBounds,
                rule.weighting());
        float w0 = get(base.segment(), i);
        float w1 = get(snapshot.segment(), i);
        float w2 = get(weights.segment(), i);
        float merged = w0 + (c.inner() * (w1 - w0) + c.outer() * (w2 - w1));
        set(weights.segment(), i, merged);
        set(base.segment(), i, merged);
      }
    }
    if (rule.resetInner()) {
      zero(inner.importance());
    }
    if (rule.resetOuter()) {
      zero(outer.importance());
    }
  }

  private void zero(Importance importance) {
    zero(importance.sensitivity());
    zero(importance.uncertainty());
  }

  /** The factors of both task vectors for an element with these scores. */
  static Coefficients coefficients(
      float innerScore, float outerScore, Bounds inner, Bounds outer, Weighting weighting) {
    return switch (weighting) {
      case Masks(var shared, var newOnly, var oldOnly, var redundant) -> {
        boolean toNew = innerScore > inner.low();
        boolean toOld = outerScore > outer.low();
        yield toNew ? (toOld ? shared : newOnly) : (toOld ? oldOnly : redundant);
      }
      case Soft soft -> SoftWeights.of(innerScore, outerScore, inner, outer, soft);
    };
  }

  /** Elements of the arena, from begin to before end. */
  private record Span(long begin, long end) {}

  /** What one part of a threshold is for: a tensor without the padding behind it, or everything. */
  private static Span span(ParameterLayout layout, Threshold threshold, int part) {
    if (threshold.layout().isEmpty()) {
      return new Span(0, layout.length());
    }
    ParameterLayout.Tensor tensor = layout.tensors().get(part);
    return new Span(tensor.offset(), tensor.offset() + tensor.elements());
  }

  @Override
  public MaskCounts maskCounts(Side inner, Side outer, Score score) {
    return MaskCounts.sum(maskCountsByTensor(inner, outer, score));
  }

  @Override
  public List<MaskCounts> maskCountsByTensor(Side inner, Side outer, Score score) {
    ParameterLayout layout = Operands.requireCounted(device, inner, outer);
    List<MaskCounts> counts = new ArrayList<>();
    for (int t = 0; t < layout.tensors().size(); t++) {
      int part = inner.threshold().layout().isEmpty() ? 0 : t;
      float innerBound = inner.threshold().bounds(part).low();
      float outerBound = outer.threshold().bounds(part).low();
      ParameterLayout.Tensor tensor = layout.tensors().get(t);
      long shared = 0;
      long newOnly = 0;
      long oldOnly = 0;
      for (long i = tensor.offset(); i < tensor.offset() + tensor.elements(); i++) {
        boolean toNew = score(inner.importance(), score, i) > innerBound;
        boolean toOld = score(outer.importance(), score, i) > outerBound;
        if (toNew && toOld) {
          shared++;
        } else if (toNew) {
          newOnly++;
        } else if (toOld) {
          oldOnly++;
        }
      }
      counts.add(
          new MaskCounts(shared, newOnly, oldOnly, tensor.elements() - shared - newOnly - oldOnly));
    }
    return counts;
  }

  @Override
  public void dropoutMask(
      MemorySegment mask, long planes, long rows, long columns, DropoutMask rule) {
    Operands.requireMask(mask.byteSize(), planes, rows, columns);
    int[] words = new int[4];
    long i = 0;
    for (long plane = 0; plane < planes; plane++) {
      for (long row = 0; row < rows; row++) {
        for (long column = 0; column < columns; column++) {
          int word = (int) (column % 4);
          if (word == 0) {
            words[0] = (int) (column / 4);
            words[1] = (int) row;
            words[2] = (int) plane;
            words[3] = rule.place();
            Philox.randomize(words, rule.key().bits());
          }
          set(mask, i, words[word] >>> 8 < rule.dropBelow() ? 0 : rule.keptValue());
          i++;
        }
      }
    }
  }

  @Override
  public void close() {}

  private static float score(Importance importance, Score score, long i) {
    float sensitivity = get(importance.sensitivity().segment(), i);
    return switch (score) {
      case SENSITIVITY_TIMES_UNCERTAINTY ->
          sensitivity * get(importance.uncertainty().segment(), i);
      case SENSITIVITY -> sensitivity;
    };
  }

  private static float get(MemorySegment segment, long i) {
    return segment.getAtIndex(JAVA_FLOAT, i);
  }

  private static void set(MemorySegment segment, long i, float value) {
    segment.setAtIndex(JAVA_FLOAT, i, value);
  }
}
