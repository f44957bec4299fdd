package io.github.recurrentkif.graph.operators;

import io.github.recurrentkif.graph.Gradients;
import io.github.recurrentkif.graph.Nodes;
import io.github.recurrentkif.graph.Operator;
import io.github.recurrentkif.graph.Value;
import java.util.List;

/**
 * {@code y = x * mask}, where the mask holds 0 for dropped and {@code 1/(1-p)} for kept elements
 * and is an input of the graph: no randomness hides inside the runtime. The mask has the elements
 * of x in the same order; its shape may differ.
 */
public final class Dropout implements Operator {

  private final Value x;
  private final Value mask;
  private Value shapedMask;

  public Dropout(Value x, Value mask) {
    this.x = x;
    this.mask = mask;
    this.shapedMask = mask;
  }

  @Override
  public List<Value> inputs() {
    return List.of(x);
  }

  @Override
  public Value forward(Nodes nodes) {
    shapedMask = nodes.reshape(mask, nodes.shapeOf(x));
    return nodes.multiply(x, shapedMask);
  }

  @Override
  public void backward(Nodes nodes, Value dy, Gradients gradients) {
    gradients.add(x, nodes.multiply(dy, shapedMask));
  }
}
