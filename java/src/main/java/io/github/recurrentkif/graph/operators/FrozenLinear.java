package io.github.recurrentkif.graph.operators;

import io.github.recurrentkif.graph.Attribute;
import io.github.recurrentkif.graph.Gradients;
import io.github.recurrentkif.graph.Nodes;
import io.github.recurrentkif.graph.Operator;
import io.github.recurrentkif.graph.Value;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * {@code y = x W^T} with a weight that never changes, which our own operator packs once: x [rows,
 * in], W [out, in], y [rows, out]; {@code dx = dy W}, added to what dx is so far.
 */
public final class FrozenLinear implements Operator {

  private final Value x;
  private final Value weight;

  public FrozenLinear(Value x, Value weight) {
    if (weight.differentiable()) {
      throw new IllegalArgumentException(weight + " is trained, not frozen");
    }
    this.x = x;
    this.weight = weight;
  }

  @Override
  public List<Value> inputs() {
    return List.of(x);
  }

  @Override
  public Value forward(Nodes nodes) {
    return product(nodes, x, weight, true, null);
  }

  @Override
  public void backward(Nodes nodes, Value dy, Gradients gradients) {
    gradients.addInto(x, sum -> product(nodes, dy, weight, false, sum));
  }

  private static Value product(
      Nodes nodes, Value x, Value weight, boolean transposed, @Nullable Value addend) {
    List<@Nullable Value> inputs =
        addend == null ? Arrays.asList(x, weight) : Arrays.asList(x, weight, addend);
    return nodes
        .own(
            "FrozenProduct",
            1,
            inputs,
            Attribute.of("transposed", transposed ? 1 : 0),
            Attribute.of("scale", 1f),
            Attribute.of("activation", "none"),
            Attribute.of("precision", "float32"))
        .getFirst();
  }
}
