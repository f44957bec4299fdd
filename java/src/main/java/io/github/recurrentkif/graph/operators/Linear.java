package io.github.recurrentkif.graph.operators;

import io.github.recurrentkif.graph.Gradients;
import io.github.recurrentkif.graph.Nodes;
import io.github.recurrentkif.graph.Operator;
import io.github.recurrentkif.graph.Value;
import java.util.List;

/**
 * {@code y = alpha * x W^T}: x [rows, in], W [out, in], y [rows, out].
 *
 * <p>{@code dx = alpha * dy W}, {@code dW = alpha * dy^T x}.
 */
public final class Linear implements Operator {

  private final Value x;
  private final Value weight;
  private final float alpha;

  public Linear(Value x, Value weight, float alpha) {
    this.x = x;
    this.weight = weight;
    this.alpha = alpha;
  }

  public Linear(Value x, Value weight) {
    this(x, weight, 1);
  }

  @Override
  public List<Value> inputs() {
    return List.of(x, weight);
  }

  @Override
  public Value forward(Nodes nodes) {
    return nodes.product(x, false, weight, true, alpha);
  }

  @Override
  public void backward(Nodes nodes, Value dy, Gradients gradients) {
    gradients.addProduct(x, dy, false, weight, false, alpha);
    gradients.addProduct(weight, dy, true, x, false, alpha);
  }
}
