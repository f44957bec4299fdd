package io.github.recurrentkif.graph.operators;

import io.github.recurrentkif.graph.Gradients;
import io.github.recurrentkif.graph.Nodes;
import io.github.recurrentkif.graph.Operator;
import io.github.recurrentkif.graph.Value;
import java.util.List;

/**
 * {@code y = x * mask} with the mask of a {@link KeyedDropout}, drawn again in the backward pass: x
 * and y [rows, width]; the rows of sequence s are {@code offsets[s]} to {@code offsets[s+1]}.
 */
public final class Drop implements Operator {

  private final Value x;
  private final Value offsets;
  private final KeyedDropout dropout;

  public Drop(Value x, Value offsets, KeyedDropout dropout) {
    this.x = x;
    this.offsets = offsets;
    this.dropout = dropout;
  }

  @Override
  public List<Value> inputs() {
    return List.of(x);
  }

  @Override
  public Value forward(Nodes nodes) {
    return dropped(nodes, x, offsets, dropout);
  }

  @Override
  public void backward(Nodes nodes, Value dy, Gradients gradients) {
    if (gradients.needs(x)) {
      gradients.add(x, dropped(nodes, dy, offsets, dropout));
    }
  }

  static Value dropped(Nodes nodes, Value x, Value offsets, KeyedDropout dropout) {
    return nodes
        .own(
            "Drop",
            1,
            List.of(x, offsets, dropout.keys()),
            dropout.placeAttribute(),
            dropout.probabilityAttribute())
        .getFirst();
  }
}
