package io.github.recurrentkif.graph.operators;

import io.github.recurrentkif.graph.Gradients;
import io.github.recurrentkif.graph.Nodes;
import io.github.recurrentkif.graph.Operator;
import io.github.recurrentkif.graph.Value;
import java.util.List;

/** {@code y = x + bias} in every row: x and y [rows, width], bias [width]. */
public final class BiasAddition implements Operator {

  private final Value x;
  private final Value bias;

  public BiasAddition(Value x, Value bias) {
    this.x = x;
    this.bias = bias;
  }

  @Override
  public List<Value> inputs() {
    return List.of(x, bias);
  }

  @Override
  public Value forward(Nodes nodes) {
    return nodes.add(x, bias);
  }

  @Override
  public void backward(Nodes nodes, Value dy, Gradients gradients) {
    gradients.add(x, dy);
    if (gradients.needs(bias)) {
      gradients.add(bias, nodes.sum(dy, false, 0));
    }
  }
}
