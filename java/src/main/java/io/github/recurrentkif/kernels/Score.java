package io.github.recurrentkif.kernels;

/** What of an importance is compared with the threshold. */
public enum Score {
  /** {@code I*U}: as the method was released. */
  SENSITIVITY_TIMES_UNCERTAINTY,
  /** {@code I}: as the paper states it. */
  SENSITIVITY
}
