package io.github.recurrentkif.graph.operators;

import io.github.recurrentkif.graph.Gradients;
import io.github.recurrentkif.graph.Nodes;
import io.github.recurrentkif.graph.Operator;
import io.github.recurrentkif.graph.Value;
import java.util.List;

/**
 * The bias of attention scores together with a mask that has no gradient: bias [1, heads, queries,
 * keys], mask broadcastable to [batch, heads, queries, keys] with the most negative float where a
 * key is hidden.
 */
public final class BatchedBias implements Operator {

  private final Value bias;
  private final Value mask;

  public BatchedBias(Value bias, Value mask) {
    this.bias = bias;
    this.mask = mask;
  }

  @Override
  public List<Value> inputs() {
    return List.of(bias);
  }

  @Override
  public Value forward(Nodes nodes) {
    return nodes.add(bias, mask);
  }

  @Override
  public void backward(Nodes nodes, Value dy, Gradients gradients) {
    if (gradients.needs(bias)) {
      gradients.add(bias, nodes.sum(dy, true, 0));
    }
  }
}
