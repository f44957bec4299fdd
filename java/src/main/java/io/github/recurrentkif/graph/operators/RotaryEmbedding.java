package io.github.recurrentkif.graph.operators;

import io.github.recurrentkif.graph.Gradients;
import io.github.recurrentkif.graph.Nodes;
import io.github.recurrentkif.graph.Operator;
import io.github.recurrentkif.graph.Value;
import java.util.List;

/**
 * The rotary position embedding (Su et al., 2021) in the order of Hugging Face: element i of a head
 * turns together with element i + width/2, by the angle a of its position and i: {@code y_i = x_i
 * cos a - x_j sin a}, {@code y_j = x_j cos a + x_i sin a}.
 *
 * <p>x and y [batch*length, heads*width]; cosine and sine [batch or 1, length, 1, 1, width/2]. The
 * backward pass turns the other way.
 */
public final class RotaryEmbedding implements Operator {

  /**
   * The angles of a batch; several operators share them.
   *
   * @param signedSine [batch or 1, length, 1, 2, width/2]: minus the sine, then the sine
   */
  public record Angles(Value cosine, Value signedSine) {

    /** From inputs as the operator's description has them. */
    public static Angles of(Nodes nodes, Value cosine, Value sine) {
      Value negative = nodes.multiply(sine, nodes.constant(-1f));
      return new Angles(cosine, nodes.concatenate(3, negative, sine));
    }
  }

  private final Value x;
  private final Angles angles;
  private final long heads;
  private final long width;
  private final Value batchAndLength;

  /**
   * @param batchAndLength the vector [batch, length]
   */
  public RotaryEmbedding(Value x, Angles angles, long heads, long width, Value batchAndLength) {
    if (width % 2 != 0) {
      throw new IllegalArgumentException("a head of odd width " + width + " has no halves to turn");
    }
    this.x = x;
    this.angles = angles;
    this.heads = heads;
    this.width = width;
    this.batchAndLength = batchAndLength;
  }

  @Override
  public List<Value> inputs() {
    return List.of(x);
  }

  @Override
  public Value forward(Nodes nodes) {
    Value halves = halves(nodes, x);
    return rows(
        nodes,
        nodes.add(
            nodes.multiply(halves, angles.cosine()),
            nodes.multiply(swapped(nodes, halves), angles.signedSine())));
  }

  @Override
  public void backward(Nodes nodes, Value dy, Gradients gradients) {
    if (gradients.needs(x)) {
      Value halves = halves(nodes, dy);
      gradients.add(
          x,
          rows(
              nodes,
              nodes.subtract(
                  nodes.multiply(halves, angles.cosine()),
                  nodes.multiply(swapped(nodes, halves), angles.signedSine()))));
    }
  }

  /** [batch, length, heads, 2, width/2]. */
  private Value halves(Nodes nodes, Value rows) {
    return nodes.reshape(
        rows, nodes.concatenate(0, batchAndLength, nodes.vector(heads, 2, width / 2)));
  }

  private static Value swapped(Nodes nodes, Value halves) {
    return nodes.gatherAlong(3, halves, nodes.vector(1, 0));
  }

  private Value rows(Nodes nodes, Value halves) {
    return nodes.reshape(halves, nodes.vector(-1, heads * width));
  }
}
