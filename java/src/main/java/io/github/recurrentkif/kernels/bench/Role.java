package io.github.recurrentkif.kernels.bench;

/** What an array is to an operation. */
public enum Role {
  WEIGHTS,
  GRADIENT,
  FIRST_MOMENT,
  SECOND_MOMENT,
  BASE,
  SNAPSHOT,
  INNER_SENSITIVITY,
  INNER_UNCERTAINTY,
  OUTER_SENSITIVITY,
  OUTER_UNCERTAINTY
}
