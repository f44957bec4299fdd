package io.github.recurrentkif.graph.operators;

import io.github.recurrentkif.graph.Gradients;
import io.github.recurrentkif.graph.Nodes;
import io.github.recurrentkif.graph.Operator;
import io.github.recurrentkif.graph.Value;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The weighted cross-entropy {@code sum over rows of weight * (log sum exp(logits) -
 * logits[label])}, a scalar: logits [rows, vocabulary], labels [rows, 1] (any valid id where the
 * weight is 0), weights [rows, 1]. Weights of 1 over the number of labelled tokens give the mean.
 *
 * <p>{@code dlogits = weight * (softmax(logits) - onehot(label))}; the loss must be what is
 * differentiated, with seed 1.
 */
public final class CrossEntropy implements Operator {

  private final Value logits;
  private final Value labels;
  private final Value weights;
  private @Nullable Value probabilities;
  private @Nullable Value tokenLosses;

  public CrossEntropy(Value logits, Value labels, Value weights) {
    this.logits = logits;
    this.labels = labels;
    this.weights = weights;
  }

  @Override
  public List<Value> inputs() {
    return List.of(logits);
  }

  @Override
  public Value forward(Nodes nodes) {
    probabilities = nodes.softmax(logits);
    Value logSum = logSum(nodes, logits, probabilities);
    tokenLosses = nodes.subtract(logSum, nodes.pickFromRows(logits, labels));
    return nodes.sumOfAll(nodes.multiply(tokenLosses, weights));
  }

  /**
   * The logarithm of the sum of exponentials of each row, [rows, 1]. The largest probability is
   * exp(largest logit) / sum, so no exponentials are taken twice.
   */
  static Value logSum(Nodes nodes, Value logits, Value probabilities) {
    return nodes.subtract(
        nodes.maximumOverLastAxis(logits), nodes.log(nodes.maximumOverLastAxis(probabilities)));
  }

  /** [rows, 1]: the cross-entropy of each row, not weighted. */
  public Value tokenLosses() {
    if (tokenLosses == null) {
      throw new IllegalStateException("the operator has not been applied");
    }
    return tokenLosses;
  }

  @Override
  public void backward(Nodes nodes, Value seed, Gradients gradients) {
    if (probabilities == null) {
      throw new IllegalStateException("backward before forward");
    }
    Value atLabel = nodes.subtract(nodes.pickFromRows(probabilities, labels), nodes.constant(1f));
    Value difference = nodes.placeIntoRows(probabilities, labels, atLabel);
    gradients.add(logits, nodes.multiply(difference, weights));
  }
}
