package io.github.recurrentkif.graph.operators;

import io.github.recurrentkif.graph.Gradients;
import io.github.recurrentkif.graph.Nodes;
import io.github.recurrentkif.graph.Operator;
import io.github.recurrentkif.graph.Value;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Root mean square normalisation (Zhang and Sennrich, 2019): {@code y = n * scale} with {@code n =
 * x * inverse} and {@code inverse = 1 / sqrt(mean(x*x) + epsilon)} over the last axis; x and y
 * [rows, width], scale [width].
 *
 * <p>With {@code g = dy * scale}: {@code dx = inverse * (g - n * mean(g * n))}, {@code dscale = sum
 * of dy * n} over the rows.
 */
public final class RmsNorm implements Operator {

  private final Value x;
  private final Value scale;
  private final float epsilon;
  private @Nullable Value inverse;
  private @Nullable Value normalised;

  public RmsNorm(Value x, Value scale, float epsilon) {
    this.x = x;
    this.scale = scale;
    this.epsilon = epsilon;
  }

  @Override
  public List<Value> inputs() {
    return List.of(x, scale);
  }

  @Override
  public Value forward(Nodes nodes) {
    Value meanSquare = nodes.meanOverLastAxis(nodes.multiply(x, x));
    inverse = nodes.reciprocal(nodes.squareRoot(nodes.add(meanSquare, nodes.constant(epsilon))));
    normalised = nodes.multiply(x, inverse);
    return nodes.multiply(normalised, scale);
  }

  @Override
  public void backward(Nodes nodes, Value dy, Gradients gradients) {
    if (inverse == null || normalised == null) {
      throw new IllegalStateException("backward before forward");
    }
    if (gradients.needs(x)) {
      Value g = nodes.multiply(dy, scale);
      Value mean = nodes.meanOverLastAxis(nodes.multiply(g, normalised));
      Value along = nodes.multiply(normalised, mean);
      gradients.add(x, nodes.multiply(inverse, nodes.subtract(g, along)));
    }
    if (gradients.needs(scale)) {
      gradients.add(scale, nodes.sum(nodes.multiply(dy, normalised), false, 0));
    }
  }
}
