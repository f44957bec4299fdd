package io.github.recurrentkif.graph.operators;

import io.github.recurrentkif.graph.Gradients;
import io.github.recurrentkif.graph.Nodes;
import io.github.recurrentkif.graph.Operator;
import io.github.recurrentkif.graph.Value;
import java.util.List;

/** {@code y_h = [x_h | 0]} for each head h: x [rows, heads*width], y [rows, heads*(width+more)]. */
public final class WiderHeads implements Operator {

  private final Value x;
  private final int heads;
  private final int width;
  private final int more;

  public WiderHeads(Value x, int heads, int width, int more) {
    this.x = x;
    this.heads = heads;
    this.width = width;
    this.more = more;
  }

  @Override
  public List<Value> inputs() {
    return List.of(x);
  }

  @Override
  public Value forward(Nodes nodes) {
    Value wider = nodes.padded(nodes.reshape(x, nodes.vector(-1, width)), 0, 0, 0, more);
    return nodes.reshape(wider, nodes.vector(-1, (long) heads * (width + more)));
  }

  @Override
  public void backward(Nodes nodes, Value dy, Gradients gradients) {
    if (gradients.needs(x)) {
      Value wider = nodes.reshape(dy, nodes.vector(-1, width + more));
      Value dx = nodes.split(1, wider, nodes.vector(width, more)).getFirst();
      gradients.add(x, nodes.reshape(dx, nodes.vector(-1, (long) heads * width)));
    }
  }
}
