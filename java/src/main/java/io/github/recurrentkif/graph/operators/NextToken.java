package io.github.recurrentkif.graph.operators;

import io.github.recurrentkif.graph.Gradients;
import io.github.recurrentkif.graph.Nodes;
import io.github.recurrentkif.graph.Operator;
import io.github.recurrentkif.graph.Value;
import java.util.List;

/**
 * The token, int64 [rows], whose row of the frozen head [vocabulary, width] has the largest product
 * with each of x [rows, width]; the first of equals. For decoding: there is no gradient.
 */
public final class NextToken implements Operator {

  private final Value x;
  private final Value head;

  public NextToken(Value x, Value head) {
    FrozenLinear.requireFrozen(head);
    this.x = x;
    this.head = head;
  }

  @Override
  public List<Value> inputs() {
    return List.of(x);
  }

  @Override
  public Value forward(Nodes nodes) {
    return nodes.own("NextToken", 1, List.of(x, head)).getFirst();
  }

  @Override
  public void backward(Nodes nodes, Value dy, Gradients gradients) {
    throw new IllegalStateException("no gradient reaches a choice");
  }
}
