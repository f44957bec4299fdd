package io.github.recurrentkif.graph.operators;

import io.github.recurrentkif.graph.Gradients;
import io.github.recurrentkif.graph.Nodes;
import io.github.recurrentkif.graph.Operator;
import io.github.recurrentkif.graph.Value;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The weighted divergence of Kullback and Leibler {@code sum over rows of weight * sum over v of
 * t_v (log t_v - log p_v)}, a scalar, of the distributions {@code t = softmax(wanted)} and {@code p
 * = softmax(logits)}: wanted, logits [rows, vocabulary], weights [rows, 1].
 *
 * <p>{@code dlogits = weight * (p - t)}; wanted has no gradient, and the loss must be what is
 * differentiated, with seed 1.
 */
public final class Divergence implements Operator {

  private final Value wanted;
  private final Value logits;
  private final Value weights;
  private @Nullable Value excess;

  public Divergence(Value wanted, Value logits, Value weights) {
    this.wanted = wanted;
    this.logits = logits;
    this.weights = weights;
  }

  @Override
  public List<Value> inputs() {
    return List.of(logits);
  }

  @Override
  public Value forward(Nodes nodes) {
    Value t = nodes.softmax(wanted);
    Value p = nodes.softmax(logits);
    excess = nodes.subtract(p, t);
    // log t_v - log p_v = wanted_v - logits_v + a number for the row, and t sums up to 1.
    Value apart = nodes.sum(nodes.multiply(t, nodes.subtract(wanted, logits)), true, 1);
    Value rows =
        nodes.add(
            apart,
            nodes.subtract(
                CrossEntropy.logSum(nodes, logits, p), CrossEntropy.logSum(nodes, wanted, t)));
    return nodes.sumOfAll(nodes.multiply(rows, weights));
  }

  @Override
  public void backward(Nodes nodes, Value seed, Gradients gradients) {
    if (excess == null) {
      throw new IllegalStateException("backward before forward");
    }
    gradients.add(logits, nodes.multiply(excess, weights));
  }
}
