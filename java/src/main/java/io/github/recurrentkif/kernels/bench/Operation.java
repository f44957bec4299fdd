package io.github.recurrentkif.kernels.bench;

import static io.github.recurrentkif.kernels.bench.Role.BASE;
import static io.github.recurrentkif.kernels.bench.Role.FIRST_MOMENT;
import static io.github.recurrentkif.kernels.bench.Role.GRADIENT;
import static io.github.recurrentkif.kernels.bench.Role.INNER_SENSITIVITY;
import static io.github.recurrentkif.kernels.bench.Role.INNER_UNCERTAINTY;
import static io.github.recurrentkif.kernels.bench.Role.OUTER_SENSITIVITY;
import static io.github.recurrentkif.kernels.bench.Role.OUTER_UNCERTAINTY;
import static io.github.recurrentkif.kernels.bench.Role.SECOND_MOMENT;
import static io.github.recurrentkif.kernels.bench.Role.SNAPSHOT;
import static io.github.recurrentkif.kernels.bench.Role.WEIGHTS;

import java.util.Arrays;
import java.util.List;
import java.util.Set;

/**
 * What can be measured, with the parameters of the method's released code. No importance is reset,
 * so that an operation can be repeated on the same numbers.
 */
public enum Operation {
  /** {@code target = source}: the yardstick. */
  COPY("copy", 8, "reads 1 array, writes 1"),
  IMPORTANCE("importance", 24, "reads w, g, I, U, writes I, U"),
  MERGE("merge", 36, "reads w, base, snapshot, both I and both U, writes w, base"),
  THRESHOLD("threshold", 8, "reads I and U"),
  /** The last update before a fusion: its threshold may be begun while scores are made. */
  IMPORTANCE_THRESHOLD("importance-threshold", 32, "an importance, then reads I and U"),
  ADAMW("adamw", 28, "reads w, g, m, v, writes w, m, v"),
  ADAMW_IMPORTANCE("adamw-importance", 44, "reads w, g, m, v, I, U, writes w, m, v, I, U"),
  NORM("norm", 4, "reads g"),
  /** Both thresholds and the merge. */
  FUSION("fusion", 52, "two thresholds and a merge");

  private final String optionName;
  private final int bytesPerElement;
  private final String traffic;

  Operation(String optionName, int bytesPerElement, String traffic) {
    this.optionName = optionName;
    this.bytesPerElement = bytesPerElement;
    this.traffic = traffic;
  }

  /** As users write it. */
  public String optionName() {
    return optionName;
  }

  /** The least that has to be moved between memory and processor. */
  public int bytesPerElement() {
    return bytesPerElement;
  }

  /** What {@link #bytesPerElement} counts, for people. */
  public String traffic() {
    return traffic;
  }

  /** The arrays it needs. */
  public Set<Role> arrays() {
    return switch (this) {
      case COPY -> Set.of(WEIGHTS, SNAPSHOT);
      case IMPORTANCE, IMPORTANCE_THRESHOLD ->
          Set.of(WEIGHTS, GRADIENT, INNER_SENSITIVITY, INNER_UNCERTAINTY);
      case MERGE, FUSION ->
          Set.of(
              WEIGHTS,
              BASE,
              SNAPSHOT,
              INNER_SENSITIVITY,
              INNER_UNCERTAINTY,
              OUTER_SENSITIVITY,
              OUTER_UNCERTAINTY);
      case THRESHOLD -> Set.of(INNER_SENSITIVITY, INNER_UNCERTAINTY);
      case ADAMW -> Set.of(WEIGHTS, GRADIENT, FIRST_MOMENT, SECOND_MOMENT);
      case ADAMW_IMPORTANCE ->
          Set.of(
              WEIGHTS, GRADIENT, FIRST_MOMENT, SECOND_MOMENT, INNER_SENSITIVITY, INNER_UNCERTAINTY);
      case NORM -> Set.of(GRADIENT);
    };
  }

  /** The arrays it changes. */
  public Set<Role> written() {
    return switch (this) {
      case COPY -> Set.of(SNAPSHOT);
      case IMPORTANCE, IMPORTANCE_THRESHOLD -> Set.of(INNER_SENSITIVITY, INNER_UNCERTAINTY);
      case MERGE, FUSION -> Set.of(WEIGHTS, BASE);
      case THRESHOLD, NORM -> Set.of();
      case ADAMW -> Set.of(WEIGHTS, FIRST_MOMENT, SECOND_MOMENT);
      case ADAMW_IMPORTANCE ->
          Set.of(WEIGHTS, FIRST_MOMENT, SECOND_MOMENT, INNER_SENSITIVITY, INNER_UNCERTAINTY);
    };
  }

  /** Everything but the yardstick, in the order of the method. */
  public static List<Operation> measured() {
    return Arrays.stream(values()).filter(operation -> operation != COPY).toList();
  }

  @Override
  public String toString() {
    return optionName;
  }
}
