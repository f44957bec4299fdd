package io.github.recurrentkif.graph;

import java.util.List;

/**
 * A differentiable function: emits its forward nodes, and later the vector-Jacobian product.
 *
 * <p>An operator is applied once ({@link Graph#apply}); what its backward pass needs of the forward
 * pass it keeps in fields.
 */
public interface Operator {

  /** The values the result depends on differentiably; others (ids, masks) are not listed. */
  List<Value> inputs();

  /** Emits the forward nodes and returns the result. */
  Value forward(Nodes nodes);

  /**
   * Emits, for every input that {@link Gradients#needs}, what the gradient of the result
   * contributes to that of the input.
   */
  void backward(Nodes nodes, Value resultGradient, Gradients gradients);
}
