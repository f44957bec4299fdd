package io.github.recurrentkif.graph.operators;

import io.github.recurrentkif.graph.Gradients;
import io.github.recurrentkif.graph.Nodes;
import io.github.recurrentkif.graph.Operator;
import io.github.recurrentkif.graph.Value;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * {@link RmsNorm} with a scale that never changes, one node for each direction; the backward node
 * is our own and adds to the gradient so far.
 */
public final class FusedRmsNorm implements Operator {

  private final Value x;
  private final Value scale;
  private final float epsilon;
  private @Nullable Value inverse;

  public FusedRmsNorm(Value x, Value scale, float epsilon) {
    if (scale.differentiable()) {
      throw new IllegalArgumentException(scale + " is trained, not frozen");
    }
    this.x = x;
    this.scale = scale;
    this.epsilon = epsilon;
  }

  @Override
  public List<Value> inputs() {
    return List.of(x);
  }

  @Override
  public Value forward(Nodes nodes) {
    List<Value> results = nodes.rmsNorm(x, scale, epsilon);
    inverse = results.get(1);
    return results.get(0);
  }

  @Override
  public void backward(Nodes nodes, Value dy, Gradients gradients) {
    Value factors = inverse;
    if (factors == null) {
      throw new IllegalStateException("backward before forward");
    }
    gradients.addInto(
        x,
        sum ->
            nodes
                .own(
                    "RmsNormGrad",
                    1,
                    sum == null
                        ? List.of(dy, x, scale, factors)
                        : Arrays.asList(dy, x, scale, factors, sum))
                .getFirst());
  }
}
