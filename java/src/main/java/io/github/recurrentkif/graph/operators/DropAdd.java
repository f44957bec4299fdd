package io.github.recurrentkif.graph.operators;

import io.github.recurrentkif.graph.Gradients;
import io.github.recurrentkif.graph.Nodes;
import io.github.recurrentkif.graph.Operator;
import io.github.recurrentkif.graph.Value;
import java.util.List;

/** {@code y = residual + drop(x)}, with {@link Drop}: all [rows, width]. */
public final class DropAdd implements Operator {

  private final Value residual;
  private final Value x;
  private final Value offsets;
  private final KeyedDropout dropout;

  public DropAdd(Value residual, Value x, Value offsets, KeyedDropout dropout) {
    this.residual = residual;
    this.x = x;
    this.offsets = offsets;
    this.dropout = dropout;
  }

  @Override
  public List<Value> inputs() {
    return List.of(residual, x);
  }

  @Override
  public Value forward(Nodes nodes) {
    return nodes
        .own(
            "DropAdd",
            1,
            List.of(x, residual, offsets, dropout.keys()),
            dropout.placeAttribute(),
            dropout.probabilityAttribute())
        .getFirst();
  }

  @Override
  public void backward(Nodes nodes, Value dy, Gradients gradients) {
    gradients.add(residual, dy);
    if (gradients.needs(x)) {
      gradients.add(x, Drop.dropped(nodes, dy, offsets, dropout));
    }
  }
}
