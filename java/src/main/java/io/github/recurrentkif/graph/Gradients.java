package io.github.recurrentkif.graph;

import java.util.HashMap;
import java.util.Map;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/** The gradients that reverse mode has gathered so far. */
public final class Gradients {

  private final Nodes nodes;

  /** By identity: values have no equality of their own. */
  private final Map<Value, Value> sums = new HashMap<>();

  Gradients(Nodes nodes) {
    this.nodes = nodes;
  }

  void seed(Value loss) {
    sums.put(loss, nodes.constant(1f));
  }

  @Nullable Value of(Value value) {
    return sums.get(value);
  }

  /** Whether anybody needs the gradient of this value. */
  public boolean needs(Value value) {
    return value.differentiable();
  }

  /** Adds a contribution of the value's own shape. */
  public void add(Value value, Value contribution) {
    if (needs(value)) {
      sums.merge(value, contribution, nodes::add);
    }
  }

  /**
   * Adds a contribution that can take the sum so far into itself.
   *
   * @param addedTo from the sum so far, null where there is none, to the new sum
   */
  public void addInto(Value value, Function<@Nullable Value, Value> addedTo) {
    if (needs(value)) {
      sums.put(value, addedTo.apply(sums.get(value)));
    }
  }

  /**
   * Adds the product {@code alpha * op(a) op(b)} of two matrices, into the sum so far where there
   * is one.
   *
   * @param transposeA whether {@code op(a)} is the transpose of a; likewise b
   */
  public void addProduct(
      Value value, Value a, boolean transposeA, Value b, boolean transposeB, float alpha) {
    if (needs(value)) {
      sums.compute(
          value,
          (key, sum) ->
              sum == null
                  ? nodes.product(a, transposeA, b, transposeB, alpha)
                  : nodes.productPlus(a, transposeA, b, transposeB, alpha, sum));
    }
  }
}
