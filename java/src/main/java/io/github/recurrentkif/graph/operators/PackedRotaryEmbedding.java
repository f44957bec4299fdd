package io.github.recurrentkif.graph.operators;

import io.github.recurrentkif.graph.Attribute;
import io.github.recurrentkif.graph.Gradients;
import io.github.recurrentkif.graph.Nodes;
import io.github.recurrentkif.graph.Operator;
import io.github.recurrentkif.graph.Value;
import java.util.List;

/**
 * {@link RotaryEmbedding} with the angles of every row: x and y [rows, heads*width], cosine and
 * sine [rows, width/2]; an operator of our own.
 */
public final class PackedRotaryEmbedding implements Operator {

  private final Value x;
  private final Value cosine;
  private final Value sine;
  private final int heads;
  private final int width;

  public PackedRotaryEmbedding(Value x, Value cosine, Value sine, int heads, int width) {
    if (width % 2 != 0) {
      throw new IllegalArgumentException("a head of odd width " + width + " has no halves to turn");
    }
    this.x = x;
    this.cosine = cosine;
    this.sine = sine;
    this.heads = heads;
    this.width = width;
  }

  @Override
  public List<Value> inputs() {
    return List.of(x);
  }

  @Override
  public Value forward(Nodes nodes) {
    return turned(nodes, x, false);
  }

  @Override
  public void backward(Nodes nodes, Value dy, Gradients gradients) {
    if (gradients.needs(x)) {
      gradients.add(x, turned(nodes, dy, true));
    }
  }

  private Value turned(Nodes nodes, Value value, boolean back) {
    return nodes
        .own(
            "Rotary",
            1,
            List.of(value, cosine, sine),
            Attribute.of("heads", heads),
            Attribute.of("width", width),
            Attribute.of("backward", back ? 1 : 0))
        .getFirst();
  }
}
