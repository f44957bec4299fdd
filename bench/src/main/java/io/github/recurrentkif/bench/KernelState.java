package io.github.recurrentkif.bench;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import io.github.recurrentkif.kernels.AdamWStep;
import io.github.recurrentkif.kernels.Importance;
import io.github.recurrentkif.kernels.ImportanceRule;
import io.github.recurrentkif.kernels.ImportanceRule.Formula;
import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.kernels.Side;
import io.github.recurrentkif.kernels.Threshold;
import io.github.recurrentkif.kernels.cpu.CpuKernels;
import io.github.recurrentkif.kernels.cpu.CpuKernels.Settings;
import io.github.recurrentkif.kernels.reference.ReferenceKernels;
import io.github.recurrentkif.memory.Device;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.memory.Shape;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Objects;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;

/** Kernels and filled arrays, as one trial of a benchmark needs them. */
final class KernelState implements AutoCloseable {

  static final float CLIP = 0.5f;
  static final double QUANTILE = 0.8;
  static final ImportanceRule RULE = new ImportanceRule(Formula.FIRST_ORDER, 0.85, 0.85);
  static final AdamWStep STEP = new AdamWStep(3e-4, 0.9, 0.999, 1e-8, 0.01, 100);

  final Kernels kernels;
  final ParameterVector weights;
  final ParameterVector gradient;
  final ParameterVector firstMoment;
  final ParameterVector secondMoment;
  final ParameterVector base;
  final ParameterVector snapshot;
  final Side inner;
  final Side outer;
  private final List<ParameterVector> vectors = new ArrayList<>();
  private final List<MemorySegment> beginnings = new ArrayList<>();

  /**
   * @param implementation {@code java}; or an instruction set ({@code baseline}, {@code avx2},
   *     {@code avx512}) and a number of threads, as in {@code avx2-1}
   */
  KernelState(String implementation, long n) {
    kernels = open(implementation);
    Device device = kernels.device();
    LinkedHashMap<String, Shape> shapes = new LinkedHashMap<>();
    shapes.put("all", Shape.of(n));
    ParameterLayout layout = ParameterLayout.of(shapes);
    SplittableRandom random = new SplittableRandom(n);
    weights = vector(layout, device, random, -1e-2);
    gradient = vector(layout, device, random, -1e-3);
    firstMoment = vector(layout, device, random, -1e-3);
    secondMoment = vector(layout, device, random, 1e-6);
    base = vector(layout, device, random, -1e-2);
    snapshot = vector(layout, device, random, -1e-2);
    inner = side(layout, device, random);
    outer = side(layout, device, random);
  }

  private Side side(ParameterLayout layout, Device device, SplittableRandom random) {
    return new Side(
        new Importance(vector(layout, device, random, 1e-5), vector(layout, device, random, 1e-6)),
        new Threshold(device));
  }

  private static Kernels open(String implementation) {
    if (implementation.equals("java")) {
      return new ReferenceKernels();
    }
    String[] words = implementation.split("-", -1);
    int threads = Integer.parseInt(words[1]);
    @Nullable Kernels chosen = null;
    for (Kernels kernels : CpuKernels.openEachInstructionSet(threads, Settings.ofProcess())) {
      if (kernels.description().contains(words[0])) {
        chosen = kernels;
      } else {
        kernels.close();
      }
    }
    if (chosen == null) {
      throw new IllegalStateException(
          "this machine or build has no native kernels of " + words[0] + "; leave it out with -p");
    }
    return chosen;
  }

  /** Numbers of that size; of both signs if it is negative. */
  private ParameterVector vector(
      ParameterLayout layout, Device device, SplittableRandom random, double scale) {
    ParameterVector vector = new ParameterVector(layout, device);
    for (long i = 0; i < layout.elements(); i++) {
      double number =
          scale < 0 ? scale * (2 * random.nextDouble() - 1) : scale * random.nextDouble();
      vector.segment().setAtIndex(JAVA_FLOAT, i, (float) number);
    }
    vectors.add(vector);
    beginnings.add(MemorySegment.ofArray(vector.segment().toArray(JAVA_FLOAT)));
    return vector;
  }

  /** Repeated without end, moving averages would decay into denormals. */
  void restore() {
    for (int i = 0; i < vectors.size(); i++) {
      vectors.get(i).segment().copyFrom(beginnings.get(i));
    }
  }

  /** A number that two states share if and (nearly) only if all their arrays are alike. */
  int fingerprint() {
    int fingerprint = Objects.hash(inner.threshold().value(), outer.threshold().value());
    for (ParameterVector vector : vectors) {
      fingerprint =
          31 * fingerprint + java.util.Arrays.hashCode(vector.segment().toArray(JAVA_FLOAT));
    }
    return fingerprint;
  }

  @Override
  public void close() {
    vectors.forEach(ParameterVector::close);
    inner.threshold().close();
    outer.threshold().close();
    kernels.close();
  }
}
