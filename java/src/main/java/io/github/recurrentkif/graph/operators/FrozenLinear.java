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
 * {@code y = x W^T}, added to another value if there is one, with a weight that never changes: x
 * [rows, in], W [out, in], y [rows, out]; {@code dx = dy W}, added to what dx is so far.
 */
public final class FrozenLinear implements Operator {

  private final @Nullable Value addend;
  private final Value x;
  private final Value weight;
  private final Precision precision;
  private final FewRows fewRows;

  /**
   * @param addend [rows, out]
   * @param fewRows of the forward product
   */
  public FrozenLinear(
      @Nullable Value addend, Value x, Value weight, Precision precision, FewRows fewRows) {
    requireFrozen(weight);
    this.addend = addend;
    this.x = x;
    this.weight = weight;
    this.precision = precision;
    this.fewRows = fewRows;
  }

  static void requireFrozen(Value weight) {
    if (weight.differentiable()) {
      throw new IllegalArgumentException(weight + " is trained, not frozen");
    }
  }

  @Override
  public List<Value> inputs() {
    return addend == null ? List.of(x) : List.of(addend, x);
  }

  @Override
  public Value forward(Nodes nodes) {
    return forward(nodes, x, weight, addend, "none", precision, fewRows);
  }

  @Override
  public void backward(Nodes nodes, Value dy, Gradients gradients) {
    if (addend != null) {
      gradients.add(addend, dy);
    }
    gradients.addInto(x, sum -> backward(nodes, dy, weight, sum, precision));
  }

  /** {@code activation(x W^T + addend)}. */
  static Value forward(
      Nodes nodes,
      Value x,
      Value weight,
      @Nullable Value addend,
      String activation,
      Precision precision,
      FewRows fewRows) {
    return product(nodes, x, weight, addend, 1, activation, precision.forward(), fewRows);
  }

  /** {@code dy W + addend}. */
  static Value backward(
      Nodes nodes, Value dy, Value weight, @Nullable Value addend, Precision precision) {
    return product(nodes, dy, weight, addend, 0, "none", precision.backward(), FewRows.AS_MANY);
  }

  private static Value product(
      Nodes nodes,
      Value x,
      Value weight,
      @Nullable Value addend,
      int transposed,
      String activation,
      String precision,
      FewRows fewRows) {
    List<@Nullable Value> inputs =
        addend == null ? Arrays.asList(x, weight) : Arrays.asList(x, weight, addend);
    return nodes
        .own(
            "FrozenProduct",
            1,
            inputs,
            Attribute.of("transposed", transposed),
            Attribute.of("scale", 1f),
            Attribute.of("activation", activation),
            Attribute.of("precision", precision),
            Attribute.of("few_rows", fewRows.attribute()))
        .getFirst();
  }
}
