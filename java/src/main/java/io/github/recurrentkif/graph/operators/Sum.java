package io.github.recurrentkif.graph.operators;

import io.github.recurrentkif.graph.Gradients;
import io.github.recurrentkif.graph.Nodes;
import io.github.recurrentkif.graph.Operator;
import io.github.recurrentkif.graph.Value;
import java.util.List;

/** {@code y = a + b} of equal shapes: the residual connection. The gradient goes to both. */
public final class Sum implements Operator {

  private final Value a;
  private final Value b;

  public Sum(Value a, Value b) {
    this.a = a;
    this.b = b;
  }

  @Override
  public List<Value> inputs() {
    return List.of(a, b);
  }

  @Override
  public Value forward(Nodes nodes) {
    return nodes.add(a, b);
  }

  @Override
  public void backward(Nodes nodes, Value dy, Gradients gradients) {
    gradients.add(a, dy);
    gradients.add(b, dy);
  }
}
