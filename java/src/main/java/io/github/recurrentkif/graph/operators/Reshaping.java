package io.github.recurrentkif.graph.operators;

import io.github.recurrentkif.graph.Gradients;
import io.github.recurrentkif.graph.Nodes;
import io.github.recurrentkif.graph.Operator;
import io.github.recurrentkif.graph.Value;
import java.util.List;

/** The elements of x in the same order under another shape, -1 for an extent that follows. */
public final class Reshaping implements Operator {

  private final Value x;
  private final Value shape;

  public Reshaping(Value x, Value shape) {
    this.x = x;
    this.shape = shape;
  }

  @Override
  public List<Value> inputs() {
    return List.of(x);
  }

  @Override
  public Value forward(Nodes nodes) {
    return nodes.reshape(x, shape);
  }

  @Override
  public void backward(Nodes nodes, Value dy, Gradients gradients) {
    if (gradients.needs(x)) {
      gradients.add(x, nodes.reshape(dy, nodes.shapeOf(x)));
    }
  }
}
