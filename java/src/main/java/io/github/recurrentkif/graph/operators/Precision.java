package io.github.recurrentkif.graph.operators;

/**
 * What the factors of products with frozen weights, and of attention by operators of our own, are
 * rounded to; sums, and everything else, are float32. Stock operators round each sum as well
 * ({@link Bf16Linear}).
 */
public enum Precision {
  /** Not at all. */
  FLOAT32("float32", "float32"),
  /** To bfloat16 in the backward pass: the loss is exact, gradients are not. */
  BF16_BACKWARD("float32", "bf16"),
  /** To bfloat16. */
  BF16("bf16", "bf16");

  private final String forward;
  private final String backward;

  Precision(String forward, String backward) {
    this.forward = forward;
    this.backward = backward;
  }

  String forward() {
    return forward;
  }

  String backward() {
    return backward;
  }
}
