package io.github.recurrentkif.graph.operators;

import io.github.recurrentkif.graph.Gradients;
import io.github.recurrentkif.graph.Nodes;
import io.github.recurrentkif.graph.Operator;
import io.github.recurrentkif.graph.Value;
import java.util.List;

/**
 * {@code y = alpha * x W^T} with a weight that never changes and is kept in bfloat16, on operators
 * of the stock runtime that only a GPU has: x [rows, in], W [out, in], y [rows, out]; {@code dx =
 * alpha * dy W}.
 *
 * <p>x and dy come in float32 and are rounded to bfloat16; the GPU adds up in float32 and rounds
 * each sum to bfloat16, and y and dx are float32 again: as under PyTorch's autocast.
 */
public final class Bf16Linear implements Operator {

  private final Value x;
  private final Value weight;
  private final float alpha;

  /**
   * @throws IllegalArgumentException if the weight is not in bfloat16
   */
  public Bf16Linear(Value x, Value weight, float alpha) {
    if (!weight.bfloat16()) {
      throw new IllegalArgumentException(weight + " is not in bfloat16");
    }
    this.x = x;
    this.weight = weight;
    this.alpha = alpha;
  }

  @Override
  public List<Value> inputs() {
    return List.of(x);
  }

  @Override
  public Value forward(Nodes nodes) {
    return product(nodes, x, true);
  }

  @Override
  public void backward(Nodes nodes, Value dy, Gradients gradients) {
    if (gradients.needs(x)) {
      gradients.add(x, product(nodes, dy, false));
    }
  }

  private Value product(Nodes nodes, Value rows, boolean transposed) {
    return nodes.castToFloat(
        nodes.product(nodes.castToBfloat16(rows), false, weight, transposed, alpha));
  }
}
