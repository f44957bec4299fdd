package io.github.recurrentkif.graph.operators;

import io.github.recurrentkif.graph.Gradients;
import io.github.recurrentkif.graph.Nodes;
import io.github.recurrentkif.graph.Operator;
import io.github.recurrentkif.graph.Value;
import java.util.List;

/** {@code y = [a | b]}: a [rows, widthOfA], b [rows, widthOfB]. */
public final class Beside implements Operator {

  private final Value a;
  private final int widthOfA;
  private final Value b;
  private final int widthOfB;

  public Beside(Value a, int widthOfA, Value b, int widthOfB) {
    this.a = a;
    this.widthOfA = widthOfA;
    this.b = b;
    this.widthOfB = widthOfB;
  }

  @Override
  public List<Value> inputs() {
    return List.of(a, b);
  }

  @Override
  public Value forward(Nodes nodes) {
    return nodes.concatenate(1, a, b);
  }

  @Override
  public void backward(Nodes nodes, Value dy, Gradients gradients) {
    List<Value> parts = nodes.split(1, dy, nodes.vector(widthOfA, widthOfB));
    gradients.add(a, parts.get(0));
    gradients.add(b, parts.get(1));
  }
}
