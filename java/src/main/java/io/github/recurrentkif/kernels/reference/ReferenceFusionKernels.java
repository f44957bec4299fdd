package io.github.recurrentkif.kernels.reference;

import static java.lang.foreign.ValueLayout.JAVA_INT;

import io.github.recurrentkif.kernels.Bounds;
import io.github.recurrentkif.kernels.Combination;
import io.github.recurrentkif.kernels.Combination.Sparsity;
import io.github.recurrentkif.kernels.FusionKernels;
import io.github.recurrentkif.kernels.MergeRule.Coefficients;
import io.github.recurrentkif.kernels.MergeRule.Weighting;
import io.github.recurrentkif.kernels.StoredScore;
import io.github.recurrentkif.kernels.StoredWeights;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.List;

/** The fusion of stored weights in scalar Java: the specification. */
public final class ReferenceFusionKernels implements FusionKernels {

  private static final ValueLayout.OfShort STORED_16 =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfFloat STORED_32 =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final int MAGNITUDE = 0x7fffffff;

  @Override
  public String description() {
    return "scalar Java";
  }

  @Override
  public void histogram(StoredScore score, MemorySegment counts) {
    for (long i = 0; i < score.a().elements(); i++) {
      count(counts, bits(score, i) >>> 15);
    }
  }

  @Override
  public void histogramBelow(StoredScore score, int prefix, MemorySegment counts) {
    for (long i = 0; i < score.a().elements(); i++) {
      int bits = bits(score, i);
      if (bits >>> 15 == prefix) {
        count(counts, bits & 0x7fff);
      }
    }
  }

  @Override
  public Bounds range(StoredScore score, Bounds before) {
    Bounds found = before;
    for (long i = 0; i < score.a().elements(); i++) {
      float value = value(score, i);
      found = found.and(new Bounds(value, value));
    }
    return found;
  }

  private static void count(MemorySegment counts, int bin) {
    counts.setAtIndex(JAVA_INT, bin, counts.getAtIndex(JAVA_INT, bin) + 1);
  }

  private static int bits(StoredScore score, long i) {
    return Float.floatToRawIntBits(value(score, i)) & MAGNITUDE;
  }

  private static float value(StoredScore score, long i) {
    return switch (score) {
      case StoredScore.Difference(var a, var b) -> Math.abs(a.widened(i) - b.widened(i));
      case StoredScore.Value(var a) -> Math.abs(a.widened(i));
      case StoredScore.Product(var a, var b) -> Math.abs(a.widened(i) * b.widened(i));
    };
  }

  @Override
  public long combine(
      StoredWeights out,
      StoredWeights base,
      List<StoredWeights> models,
      float[] weights,
      float[] thresholds,
      Combination rule,
      long first) {
    long notFinite = 0;
    float[] t = new float[models.size()];
    boolean[] takesPart = new boolean[models.size()];
    int[] words = new int[4];
    for (long i = 0; i < out.elements(); i++) {
      float origin = rule.taskVectors() ? base.widened(i) : 0;
      float sum = 0;
      for (int model = 0; model < t.length; model++) {
        t[model] = models.get(model).widened(i);
        if (rule.taskVectors()) {
          t[model] -= origin;
        }
        takesPart[model] = true;
        switch (rule.sparsity()) {
          case Sparsity.None() -> {}
          case Sparsity.Large() -> {
            takesPart[model] = Math.abs(t[model]) >= thresholds[model];
            t[model] = takesPart[model] ? t[model] : 0;
          }
          case Sparsity.Random drawn -> {
            long element = first + i;
            words[0] = (int) (element / 4);
            words[1] = (int) ((element / 4) >>> 32);
            words[2] = model;
            words[3] = 0;
            Philox.randomize(words, drawn.key().bits());
            takesPart[model] = (words[(int) (element % 4)] >>> 8) >= drawn.dropBelow();
            t[model] = takesPart[model] ? t[model] * drawn.keptValue() : 0;
          }
        }
        sum += weights[model] * t[model];
      }
      if (rule.consensus()) {
        float all = sum;
        sum = 0;
        for (int model = 0; model < t.length; model++) {
          takesPart[model] = (t[model] > 0 && all > 0) || (t[model] < 0 && all < 0);
          sum += takesPart[model] ? weights[model] * t[model] : 0;
        }
      }
      if (rule.normalised()) {
        float part = 0;
        for (int model = 0; model < t.length; model++) {
          part += takesPart[model] ? weights[model] : 0;
        }
        sum /= part == 0 ? 1 : part;
      }
      float result = rule.scale() * sum;
      notFinite += set(out, i, rule.taskVectors() ? origin + result : result) ? 0 : 1;
    }
    return notFinite;
  }

  @Override
  public long merge(
      StoredWeights out,
      StoredWeights base,
      StoredWeights learned,
      StoredWeights kept,
      StoredScore learnedScore,
      StoredScore keptScore,
      Bounds learnedBounds,
      Bounds keptBounds,
      Weighting weighting) {
    long notFinite = 0;
    for (long i = 0; i < out.elements(); i++) {
      Coefficients c =
          ReferenceKernels.coefficients(
              value(learnedScore, i), value(keptScore, i), learnedBounds, keptBounds, weighting);
      float origin = base.widened(i);
      float result =
          origin
              + (c.inner() * (learned.widened(i) - origin)
                  + c.outer() * (kept.widened(i) - origin));
      notFinite += set(out, i, result) ? 0 : 1;
    }
    return notFinite;
  }

  /** Stores a result; whether it is finite as it is stored. */
  private static boolean set(StoredWeights run, long i, float value) {
    return switch (run.type()) {
      case F16 -> {
        short half = Float.floatToFloat16(value);
        run.data().set(STORED_16, i * Short.BYTES, half);
        yield Float.isFinite(Float.float16ToFloat(half));
      }
      case BF16 -> {
        int bits = Float.floatToRawIntBits(value);
        int rounded = Float.isNaN(value) ? bits | 0x400000 : bits + 0x7fff + ((bits >>> 16) & 1);
        run.data().set(STORED_16, i * Short.BYTES, (short) (rounded >>> Short.SIZE));
        yield Float.isFinite(Float.intBitsToFloat(rounded & 0xffff0000));
      }
      default -> {
        run.data().set(STORED_32, i * Float.BYTES, value);
        yield Float.isFinite(value);
      }
    };
  }
}
