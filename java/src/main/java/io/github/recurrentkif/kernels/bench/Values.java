package io.github.recurrentkif.kernels.bench;

import java.util.Locale;
import java.util.SplittableRandom;

/** How much the numbers of an array differ; selection algorithms are sensitive to it. */
public enum Values {
  /** As in training: hardly two numbers alike. */
  HIGH,
  /** Sixteen different magnitudes. */
  LOW,
  /** Most numbers are zero, the rest one magnitude: thresholds meet ties. */
  TIES;

  /** As users write it. */
  public String optionName() {
    return name().toLowerCase(Locale.ROOT);
  }

  /** One number of the size that the role has in training; importances and variances are >= 0. */
  float draw(SplittableRandom random, Role role) {
    double scale =
        switch (role) {
          case WEIGHTS, BASE, SNAPSHOT -> 1e-2;
          case GRADIENT, FIRST_MOMENT -> 1e-3;
          case SECOND_MOMENT -> 1e-6;
          case INNER_SENSITIVITY, OUTER_SENSITIVITY -> 1e-5;
          case INNER_UNCERTAINTY, OUTER_UNCERTAINTY -> 1e-6;
        };
    boolean signed = scale >= 1e-3;
    long bits = random.nextLong();
    double sign = signed && bits < 0 ? -1 : 1;
    double magnitude =
        switch (this) {
          // The product of two uniform numbers: many small ones, as importances are.
          case HIGH -> ((bits & 0xFFFFFFL) + 1) * (((bits >>> 24) & 0xFFFFFFL) + 1) * 0x1p-48;
          case LOW -> ((bits & 15) + 1) / 16.0;
          case TIES -> (bits & 7) == 0 ? 1 : 0;
        };
    return (float) (sign * magnitude * scale);
  }
}
