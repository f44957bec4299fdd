package io.github.recurrentkif.kernels.bench;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import io.github.recurrentkif.kernels.Importance;
import io.github.recurrentkif.kernels.Side;
import io.github.recurrentkif.kernels.Threshold;
import io.github.recurrentkif.memory.Device;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.memory.Shape;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;

/** The arrays that one operation works on, on one device, and what it returns. */
public final class Vectors implements AutoCloseable {

  private static final String TENSOR = "all";

  private final ParameterLayout layout;
  private final Device device;
  private final Map<Role, ParameterVector> vectors = new EnumMap<>(Role.class);
  private final Threshold innerThreshold;
  private final Threshold outerThreshold;
  private double norm;

  /** Arrays of zeros with n elements each. */
  public Vectors(Set<Role> roles, long n, Device device) {
    LinkedHashMap<String, Shape> shapes = new LinkedHashMap<>();
    shapes.put(TENSOR, Shape.of(n));
    this.layout = ParameterLayout.of(shapes);
    this.device = device;
    for (Role role : roles) {
      vectors.put(role, new ParameterVector(layout, device));
    }
    innerThreshold = new Threshold(device);
    outerThreshold = new Threshold(device);
  }

  /** Elements of each array, padding left out. */
  public long n() {
    return layout.elements();
  }

  /**
   * @throws IllegalArgumentException if the operation has no such array
   */
  public ParameterVector get(Role role) {
    ParameterVector vector = vectors.get(role);
    if (vector == null) {
      throw new IllegalArgumentException("no array " + role + " here");
    }
    return vector;
  }

  /** Memory of {@link #get}, padding included. */
  public MemorySegment segment(Role role) {
    return get(role).segment();
  }

  public Side inner() {
    return new Side(
        new Importance(get(Role.INNER_SENSITIVITY), get(Role.INNER_UNCERTAINTY)), innerThreshold);
  }

  public Side outer() {
    return new Side(
        new Importance(get(Role.OUTER_SENSITIVITY), get(Role.OUTER_UNCERTAINTY)), outerThreshold);
  }

  public Threshold innerThreshold() {
    return innerThreshold;
  }

  public Threshold outerThreshold() {
    return outerThreshold;
  }

  public double norm() {
    return norm;
  }

  /** Keeps what a norm returned. */
  public void setNorm(double norm) {
    this.norm = norm;
  }

  Set<Role> roles() {
    return vectors.keySet();
  }

  /** Fills arrays of the host; the same seed gives the same numbers. */
  void fill(Values values, long seed) {
    for (Map.Entry<Role, ParameterVector> entry : vectors.entrySet()) {
      SplittableRandom random = new SplittableRandom(31 * seed + entry.getKey().name().hashCode());
      MemorySegment segment = entry.getValue().segment();
      for (long i = 0; i < n(); i++) {
        segment.setAtIndex(JAVA_FLOAT, i, values.draw(random, entry.getKey()));
      }
    }
  }

  /** Takes over arrays of the host, both thresholds included, and forgets the norm. */
  void set(Vectors host, Set<Role> roles) {
    for (Role role : roles) {
      device.upload(host.segment(role), segment(role));
    }
    device.upload(host.innerThreshold.segment(), innerThreshold.segment());
    device.upload(host.outerThreshold.segment(), outerThreshold.segment());
    norm = 0;
  }

  /**
   * Compares bits, padding included; two NaN are equal.
   *
   * @param expected arrays of the host
   * @return what differs first, or null
   */
  @Nullable String differenceFrom(Vectors expected, Role role) {
    MemorySegment wanted = expected.segment(role);
    if (device.name().equals(expected.device.name())) {
      return difference(role, segment(role), wanted);
    }
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment found = arena.allocate(wanted.byteSize(), Float.BYTES);
      device.download(segment(role), found);
      return difference(role, found, wanted);
    }
  }

  private @Nullable String difference(Role role, MemorySegment found, MemorySegment wanted) {
    long from = 0;
    while (true) {
      long bytes = found.byteSize();
      long mismatch = MemorySegment.mismatch(found, from, bytes, wanted, from, bytes);
      if (mismatch < 0) {
        return null;
      }
      long i = (from + mismatch) / Float.BYTES;
      float a = found.getAtIndex(JAVA_FLOAT, i);
      float b = wanted.getAtIndex(JAVA_FLOAT, i);
      if (!(Float.isNaN(a) && Float.isNaN(b))) {
        return i < n()
            ? "%s[%d] is %s, expected %s".formatted(role, i, a, b)
            : "%s is written %d elements past its end".formatted(role, i - n() + 1);
      }
      from = (i + 1) * Float.BYTES;
    }
  }

  @Override
  public void close() {
    vectors.values().forEach(ParameterVector::close);
    innerThreshold.close();
    outerThreshold.close();
  }
}
