package io.github.recurrentkif.graph.operators;

import io.github.recurrentkif.graph.Gradients;
import io.github.recurrentkif.graph.Nodes;
import io.github.recurrentkif.graph.Operator;
import io.github.recurrentkif.graph.Value;
import java.util.List;

/**
 * {@code y = a * b} element by element, of equal shapes: the gate of a gated feed-forward layer.
 */
public final class Product implements Operator {

  private final Value a;
  private final Value b;

  public Product(Value a, Value b) {
    this.a = a;
    this.b = b;
  }

  @Override
  public List<Value> inputs() {
    return List.of(a, b);
  }

  @Override
  public Value forward(Nodes nodes) {
    return nodes.multiply(a, b);
  }

  @Override
  public void backward(Nodes nodes, Value dy, Gradients gradients) {
    if (gradients.needs(a)) {
      gradients.add(a, nodes.multiply(dy, b));
    }
    if (gradients.needs(b)) {
      gradients.add(b, nodes.multiply(dy, a));
    }
  }
}
