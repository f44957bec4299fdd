package io.github.recurrentkif.kernels;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;

import io.github.recurrentkif.memory.Device;
import io.github.recurrentkif.memory.HostMemory;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.memory.Shape;
import java.lang.foreign.MemorySegment;
import java.util.LinkedHashMap;
import java.util.SplittableRandom;
import java.util.function.ToDoubleFunction;
import org.junit.jupiter.api.Assertions;

/** One of each vector that a kernel may touch, filled with numbers of some kind. */
public final class Workspace implements AutoCloseable {

  /** What kind of numbers. */
  public enum Values {
    /** As in training. */
    ORDINARY,
    /** Few different numbers, zeros of both signs among them. */
    TIES,
    /** Denormals in every vector. */
    DENORMAL,
    /** Now and then an infinity. */
    INFINITE,
    /** Now and then an infinity or NaN. */
    NOT_A_NUMBER;

    float draw(SplittableRandom random, double scale) {
      double ordinary = random.nextGaussian() * scale;
      return switch (this) {
        case ORDINARY -> (float) ordinary;
        case TIES -> new float[] {0f, -0f, 0.5f, -0.5f, 2f}[random.nextInt(5)];
        case DENORMAL -> (float) (ordinary * (random.nextBoolean() ? 1e-38 : 1e-20));
        case INFINITE -> (float) (random.nextInt(50) == 0 ? ordinary / 0 : ordinary);
        case NOT_A_NUMBER ->
            (float)
                switch (random.nextInt(99)) {
                  case 0 -> Double.NaN;
                  case 1 -> ordinary / 0;
                  default -> ordinary;
                };
      };
    }
  }

  public final ParameterLayout layout;
  public final ParameterVector weights;
  public final ParameterVector base;
  public final ParameterVector snapshot;
  public final ParameterVector gradient;
  public final ParameterVector firstMoment;
  public final ParameterVector secondMoment;
  public final Side inner;
  public final Side outer;

  private final Device memory;

  /** Zeros, in main memory. */
  public Workspace(ParameterLayout layout) {
    this(layout, new HostMemory());
  }

  /** Zeros on a device. */
  public Workspace(ParameterLayout layout, Device memory) {
    this.layout = layout;
    this.memory = memory;
    weights = new ParameterVector(layout, memory);
    base = new ParameterVector(layout, memory);
    snapshot = new ParameterVector(layout, memory);
    gradient = new ParameterVector(layout, memory);
    firstMoment = new ParameterVector(layout, memory);
    secondMoment = new ParameterVector(layout, memory);
    inner = Side.zero(layout, memory);
    outer = Side.zero(layout, memory);
  }

  /** Two tensors, so that there is padding in the middle and at the end. */
  public static ParameterLayout layoutOf(long elements) {
    LinkedHashMap<String, Shape> shapes = new LinkedHashMap<>();
    shapes.put("a", Shape.of(elements - elements / 3));
    shapes.put("b", Shape.of(elements / 3));
    return ParameterLayout.of(shapes);
  }

  public static Workspace random(ParameterLayout layout, Values values, long seed) {
    Workspace space = new Workspace(layout);
    SplittableRandom random = new SplittableRandom(seed);
    fill(space.weights, r -> values.draw(r, 1e-2), random);
    fill(space.base, r -> values.draw(r, 1e-2), random);
    fill(space.snapshot, r -> values.draw(r, 1e-2), random);
    fill(space.gradient, r -> values.draw(r, 1e-3), random);
    fill(space.firstMoment, r -> values.draw(r, 1e-3), random);
    fill(space.secondMoment, r -> Math.abs(values.draw(r, 1e-6)), random);
    for (Side side : new Side[] {space.inner, space.outer}) {
      fill(side.importance().sensitivity(), r -> Math.abs(values.draw(r, 1e-5)), random);
      fill(side.importance().uncertainty(), r -> Math.abs(values.draw(r, 1e-6)), random);
    }
    // Many of the ties meet a threshold, I*U the inner one and I the outer one.
    boolean ties = values == Values.TIES;
    space.inner.threshold().segment().setAtIndex(JAVA_FLOAT, 0, ties ? 0.25f : 1e-11f);
    space.outer.threshold().segment().setAtIndex(JAVA_FLOAT, 0, ties ? 0.5f : 2e-11f);
    space.inner.threshold().segment().setAtIndex(JAVA_FLOAT, 1, ties ? 1 : 3e-11f);
    space.outer.threshold().segment().setAtIndex(JAVA_FLOAT, 1, ties ? 2 : 3e-11f);
    return space;
  }

  private static void fill(
      ParameterVector vector, ToDoubleFunction<SplittableRandom> next, SplittableRandom random) {
    for (ParameterLayout.Tensor tensor : vector.layout().tensors()) {
      for (long i = tensor.offset(); i < tensor.offset() + tensor.elements(); i++) {
        vector.segment().setAtIndex(JAVA_FLOAT, i, (float) next.applyAsDouble(random));
      }
    }
  }

  /** Everything, in one order. */
  public MemorySegment[] segments() {
    return new MemorySegment[] {
      weights.segment(),
      base.segment(),
      snapshot.segment(),
      gradient.segment(),
      firstMoment.segment(),
      secondMoment.segment(),
      inner.importance().sensitivity().segment(),
      inner.importance().uncertainty().segment(),
      outer.importance().sensitivity().segment(),
      outer.importance().uncertainty().segment(),
      inner.threshold().segment(),
      outer.threshold().segment()
    };
  }

  private static final String[] NAMES = {
    "weights",
    "base",
    "snapshot",
    "gradient",
    "first moment",
    "second moment",
    "inner sensitivity",
    "inner uncertainty",
    "outer sensitivity",
    "outer uncertainty",
    "inner threshold",
    "outer threshold"
  };

  /**
   * @param other in main memory
   */
  public void copyFrom(Workspace other) {
    MemorySegment[] from = other.segments();
    MemorySegment[] to = segments();
    for (int i = 0; i < to.length; i++) {
      memory.upload(from[i], to[i]);
    }
  }

  /**
   * Asserts equal bits everywhere; NaN equals NaN.
   *
   * @param expected in main memory
   */
  public void assertSameAs(Workspace expected, String where) {
    MemorySegment[] actual = segments();
    for (int i = 0; i < actual.length; i++) {
      MemorySegment host =
          MemorySegment.ofArray(new float[(int) (actual[i].byteSize() / Float.BYTES)]);
      memory.download(actual[i], host);
      actual[i] = host;
    }
    assertSame(expected.segments(), actual, where);
  }

  public static void assertSame(MemorySegment[] expected, MemorySegment[] actual, String where) {
    for (int i = 0; i < expected.length; i++) {
      assertSameBits(expected[i], actual[i], NAMES[i] + " " + where);
    }
  }

  public static void assertSameBits(MemorySegment expected, MemorySegment actual, String where) {
    Assertions.assertEquals(expected.byteSize(), actual.byteSize(), where);
    if (expected.mismatch(actual) < 0) {
      return;
    }
    float[] e = expected.toArray(JAVA_FLOAT_UNALIGNED);
    float[] a = actual.toArray(JAVA_FLOAT_UNALIGNED);
    for (int i = 0; i < e.length; i++) {
      boolean same =
          Float.isNaN(e[i])
              ? Float.isNaN(a[i])
              : Float.floatToRawIntBits(e[i]) == Float.floatToRawIntBits(a[i]);
      if (!same) {
        Assertions.fail("%s: element %d is %s, not %s".formatted(where, i, a[i], e[i]));
      }
    }
  }

  @Override
  public void close() {
    weights.close();
    base.close();
    snapshot.close();
    gradient.close();
    firstMoment.close();
    secondMoment.close();
    inner.close();
    outer.close();
  }
}
