package io.github.recurrentkif.continual;

import io.github.recurrentkif.kernels.AdamWStep;
import io.github.recurrentkif.kernels.DropoutMask;
import io.github.recurrentkif.kernels.Importance;
import io.github.recurrentkif.kernels.ImportanceRule;
import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.kernels.MaskCounts;
import io.github.recurrentkif.kernels.MergeRule;
import io.github.recurrentkif.kernels.Score;
import io.github.recurrentkif.kernels.Side;
import io.github.recurrentkif.kernels.Threshold;
import io.github.recurrentkif.memory.Device;
import io.github.recurrentkif.memory.ParameterVector;
import java.lang.foreign.MemorySegment;
import java.util.List;

/** Hands every call on, so that a test can change one of them. */
abstract class ForwardingKernels implements Kernels {

  final Kernels kernels;

  ForwardingKernels(Kernels kernels) {
    this.kernels = kernels;
  }

  @Override
  public String description() {
    return kernels.description();
  }

  @Override
  public Device device() {
    return kernels.device();
  }

  @Override
  public void zero(ParameterVector vector) {
    kernels.zero(vector);
  }

  @Override
  public void copy(ParameterVector source, ParameterVector target) {
    kernels.copy(source, target);
  }

  @Override
  public void accumulate(ParameterVector sum, ParameterVector term, float scale) {
    kernels.accumulate(sum, term, scale);
  }

  @Override
  public void accumulateProduct(
      ParameterVector sum, ParameterVector first, ParameterVector second, float scale) {
    kernels.accumulateProduct(sum, first, second, scale);
  }

  @Override
  public double squaredNorm(ParameterVector vector) {
    return kernels.squaredNorm(vector);
  }

  @Override
  public void adamW(
      ParameterVector weights,
      ParameterVector gradient,
      ParameterVector firstMoment,
      ParameterVector secondMoment,
      float clip,
      AdamWStep step) {
    kernels.adamW(weights, gradient, firstMoment, secondMoment, clip, step);
  }

  @Override
  public void importance(
      ParameterVector weights,
      ParameterVector gradient,
      float clip,
      Importance importance,
      ImportanceRule rule) {
    kernels.importance(weights, gradient, clip, importance, rule);
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
    kernels.adamWWithImportance(
        weights, gradient, firstMoment, secondMoment, clip, step, importance, rule);
  }

  @Override
  public void threshold(Importance importance, Score score, double quantile, Threshold result) {
    kernels.threshold(importance, score, quantile, result);
  }

  @Override
  public void range(Importance importance, Score score, Threshold result) {
    kernels.range(importance, score, result);
  }

  @Override
  public void merge(
      ParameterVector weights,
      ParameterVector base,
      ParameterVector snapshot,
      Side inner,
      Side outer,
      MergeRule rule) {
    kernels.merge(weights, base, snapshot, inner, outer, rule);
  }

  @Override
  public MaskCounts maskCounts(Side inner, Side outer, Score score) {
    return kernels.maskCounts(inner, outer, score);
  }

  @Override
  public List<MaskCounts> maskCountsByTensor(Side inner, Side outer, Score score) {
    return kernels.maskCountsByTensor(inner, outer, score);
  }

  @Override
  public void dropoutMask(
      MemorySegment mask, long planes, long rows, long columns, DropoutMask rule) {
    kernels.dropoutMask(mask, planes, rows, columns, rule);
  }

  @Override
  public void close() {
    kernels.close();
  }
}
