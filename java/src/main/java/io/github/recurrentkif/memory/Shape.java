package io.github.recurrentkif.memory;

import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;

/** The extents of a tensor, outermost first; no dimensions at all is a scalar. */
public record Shape(List<Long> dimensions) {

  /**
   * @throws IllegalArgumentException if a dimension is negative or the element count overflows 63
   *     bits
   */
  public Shape {
    dimensions = List.copyOf(dimensions);
    long elements = 1;
    for (long dimension : dimensions) {
      if (dimension < 0) {
        throw new IllegalArgumentException("negative dimension in shape " + dimensions);
      }
      if (dimension != 0 && elements > Long.MAX_VALUE / dimension) {
        throw new IllegalArgumentException("shape " + dimensions + " has more than 2^63 elements");
      }
      elements *= dimension;
    }
  }

  public static Shape of(long... dimensions) {
    return new Shape(Arrays.stream(dimensions).boxed().toList());
  }

  public int rank() {
    return dimensions.size();
  }

  public long dimension(int axis) {
    return dimensions.get(axis);
  }

  public long elements() {
    return dimensions.stream().reduce(1L, (a, b) -> a * b);
  }

  public long[] toArray() {
    return dimensions.stream().mapToLong(Long::longValue).toArray();
  }

  @Override
  public String toString() {
    return dimensions.stream().map(String::valueOf).collect(Collectors.joining(", ", "[", "]"));
  }
}
