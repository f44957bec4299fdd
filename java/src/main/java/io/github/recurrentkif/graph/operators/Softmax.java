package io.github.recurrentkif.graph.operators;

import io.github.recurrentkif.graph.Gradients;
import io.github.recurrentkif.graph.Nodes;
import io.github.recurrentkif.graph.Operator;
import io.github.recurrentkif.graph.Value;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * {@code y = exp(x) / sum exp(x)} over the last axis.
 *
 * <p>{@code dx = y * (dy - sum of dy * y)}.
 */
public final class Softmax implements Operator {

  private final Value x;
  private @Nullable Value y;

  public Softmax(Value x) {
    this.x = x;
  }

  @Override
  public List<Value> inputs() {
    return List.of(x);
  }

  @Override
  public Value forward(Nodes nodes) {
    y = nodes.softmax(x);
    return y;
  }

  @Override
  public void backward(Nodes nodes, Value dy, Gradients gradients) {
    if (y == null) {
      throw new IllegalStateException("backward before forward");
    }
    Value mean = nodes.sum(nodes.multiply(dy, y), true, -1);
    gradients.add(x, nodes.multiply(y, nodes.subtract(dy, mean)));
  }
}
