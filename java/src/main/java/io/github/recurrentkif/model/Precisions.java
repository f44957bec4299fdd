package io.github.recurrentkif.model;

import io.github.recurrentkif.graph.operators.Precision;
import io.github.recurrentkif.memory.InputException;

/**
 * What the graphs of a model round the factors of products with frozen weights to.
 *
 * @param packed of graphs on operators of our own, which run on the processor
 * @param padded of graphs on stock operators: float32 everywhere, or bf16, which a GPU alone has;
 *     frozen matrices are then given in bfloat16
 */
public record Precisions(Precision packed, Precision padded) {

  static final Precisions FLOAT32 = new Precisions(Precision.FLOAT32, Precision.FLOAT32);

  /**
   * @throws IllegalArgumentException if padded graphs do not have that precision
   */
  public Precisions {
    if (padded == Precision.BF16_BACKWARD) {
      throw new IllegalArgumentException("stock operators have no " + padded);
    }
  }

  /**
   * Those of what is asked for where it is to run.
   *
   * @throws InputException as {@link #onGpu}
   */
  public static Precisions of(Precision precision, boolean onGpu) {
    return onGpu ? onGpu(precision) : onProcessor(precision);
  }

  /** Packed graphs are in the precision, padded ones in float32. */
  public static Precisions onProcessor(Precision precision) {
    return new Precisions(precision, Precision.FLOAT32);
  }

  /**
   * Padded graphs are in the precision.
   *
   * @throws InputException if they do not have it: with exact losses and bf16 gradients the weights
   *     would have to lie on the GPU in both types
   */
  public static Precisions onGpu(Precision precision) {
    if (precision == Precision.BF16_BACKWARD) {
      throw new InputException(
          "precision bf16-backward: a GPU keeps the backbone's weights in one type; use bf16 or"
              + " float32");
    }
    return new Precisions(Precision.FLOAT32, precision);
  }
}
