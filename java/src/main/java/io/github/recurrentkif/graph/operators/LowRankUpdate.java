package io.github.recurrentkif.graph.operators;

import io.github.recurrentkif.graph.Gradients;
import io.github.recurrentkif.graph.Nodes;
import io.github.recurrentkif.graph.Operator;
import io.github.recurrentkif.graph.Value;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The adapter of a linear layer, LoRA (Hu et al., 2021): {@code y = base + scale * (x A^T) B^T}
 * with x [rows, in], A [rank, in], B [out, rank], base and y [rows, out].
 *
 * <p>With {@code t = x A^T} and {@code dt = scale * dy B}: {@code dB = scale * dy^T t}, {@code dA =
 * dt^T x}, {@code dx = dt A}, {@code dbase = dy}.
 */
public final class LowRankUpdate implements Operator {

  private final Value base;
  private final Value x;
  private final Value a;
  private final Value b;
  private final float scale;
  private @Nullable Value t;

  public LowRankUpdate(Value base, Value x, Value a, Value b, float scale) {
    this.base = base;
    this.x = x;
    this.a = a;
    this.b = b;
    this.scale = scale;
  }

  @Override
  public List<Value> inputs() {
    return List.of(base, x, a, b);
  }

  @Override
  public Value forward(Nodes nodes) {
    t = nodes.product(x, false, a, true, 1);
    return nodes.productPlus(t, false, b, true, scale, base);
  }

  @Override
  public void backward(Nodes nodes, Value dy, Gradients gradients) {
    if (t == null) {
      throw new IllegalStateException("backward before forward");
    }
    gradients.add(base, dy);
    gradients.addProduct(b, dy, true, t, false, scale);
    if (gradients.needs(a) || gradients.needs(x)) {
      Value dt = nodes.product(dy, false, b, false, scale);
      gradients.addProduct(a, dt, true, x, false, 1);
      gradients.addProduct(x, dt, false, a, false, 1);
    }
  }
}
