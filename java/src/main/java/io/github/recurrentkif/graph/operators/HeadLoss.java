package io.github.recurrentkif.graph.operators;

import io.github.recurrentkif.graph.Attribute;
import io.github.recurrentkif.graph.Gradients;
import io.github.recurrentkif.graph.Nodes;
import io.github.recurrentkif.graph.Operator;
import io.github.recurrentkif.graph.Value;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * {@link CrossEntropy} of {@code scale * x head^T} with a head that never changes, by an operator
 * of our own that holds the logits of a few rows at a time: x [rows, width], head [vocabulary,
 * width], labels and weights [rows, 1]. It also gives the gradient of x; the loss must be what is
 * differentiated, with seed 1.
 */
public final class HeadLoss implements Operator {

  private final Value x;
  private final Value head;
  private final Value labels;
  private final Value weights;
  private final float scale;
  private final Precision precision;
  private @Nullable List<Value> results;

  public HeadLoss(
      Value x, Value head, Value labels, Value weights, float scale, Precision precision) {
    FrozenLinear.requireFrozen(head);
    this.x = x;
    this.head = head;
    this.labels = labels;
    this.weights = weights;
    this.scale = scale;
    this.precision = precision;
  }

  @Override
  public List<Value> inputs() {
    return List.of(x);
  }

  @Override
  public Value forward(Nodes nodes) {
    results =
        nodes.own(
            "HeadLoss",
            3,
            List.of(x, head, labels, weights),
            Attribute.of("scale", scale),
            Attribute.of("precision", precision.forward()),
            Attribute.of("gradient_precision", precision.backward()));
    return results.getFirst();
  }

  /** [rows, 1]: the cross-entropy of each row, not weighted. */
  public Value tokenLosses() {
    return results().get(2);
  }

  @Override
  public void backward(Nodes nodes, Value seed, Gradients gradients) {
    gradients.add(x, results().get(1));
  }

  private List<Value> results() {
    if (results == null) {
      throw new IllegalStateException("the operator has not been applied");
    }
    return results;
  }
}
