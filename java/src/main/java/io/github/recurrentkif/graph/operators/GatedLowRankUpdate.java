package io.github.recurrentkif.graph.operators;

import io.github.recurrentkif.graph.Gradients;
import io.github.recurrentkif.graph.Nodes;
import io.github.recurrentkif.graph.Operator;
import io.github.recurrentkif.graph.Value;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Low-rank adapters of a linear layer, weighed row by row: {@code y = base + scale * sum over e of
 * g_e (x A_e^T) B_e^T} with x [rows, in], gates g [rows, adapters], base and y [rows, out]. The
 * adapters lie side by side in A [adapters*rank, in] and B [out, adapters*rank].
 *
 * <p>With {@code t = x A^T} and G the gates, each repeated rank times: {@code y = base + scale * (t
 * * G) B^T}; so with {@code du = scale * dy B}: {@code dB = scale * dy^T (t * G)}, {@code dt = du *
 * G}, {@code dA = dt^T x}, {@code dx = dt A}, {@code dg_e = sum of du * t over the rank of e}.
 */
public final class GatedLowRankUpdate implements Operator {

  private final Value base;
  private final Value x;
  private final Value a;
  private final Value b;
  private final Value gates;
  private final float scale;
  private @Nullable Value t;
  private @Nullable Value gated;

  public GatedLowRankUpdate(Value base, Value x, Value a, Value b, Value gates, float scale) {
    this.base = base;
    this.x = x;
    this.a = a;
    this.b = b;
    this.gates = gates;
    this.scale = scale;
  }

  @Override
  public List<Value> inputs() {
    return List.of(base, x, a, b, gates);
  }

  @Override
  public Value forward(Nodes nodes) {
    t = nodes.product(x, false, a, true, 1);
    gated = weighed(nodes, t);
    return nodes.productPlus(gated, false, b, true, scale, base);
  }

  /** A matrix [rows, adapters*rank] with each adapter's columns times its gate. */
  private Value weighed(Nodes nodes, Value matrix) {
    Value product = nodes.multiply(byAdapter(nodes, matrix), nodes.unsqueeze(gates, 2));
    return nodes.reshape(product, nodes.shapeOf(matrix));
  }

  /** [rows, adapters, rank]. */
  private Value byAdapter(Nodes nodes, Value matrix) {
    return nodes.reshape(matrix, nodes.concatenate(0, nodes.shapeOf(gates), nodes.vector(-1)));
  }

  @Override
  public void backward(Nodes nodes, Value dy, Gradients gradients) {
    if (t == null || gated == null) {
      throw new IllegalStateException("backward before forward");
    }
    gradients.add(base, dy);
    gradients.addProduct(b, dy, true, gated, false, scale);
    Value du = nodes.product(dy, false, b, false, scale);
    if (gradients.needs(gates)) {
      Value products = nodes.multiply(byAdapter(nodes, du), byAdapter(nodes, t));
      gradients.add(gates, nodes.sum(products, false, 2));
    }
    Value dt = weighed(nodes, du);
    gradients.addProduct(a, dt, true, x, false, 1);
    gradients.addProduct(x, dt, false, a, false, 1);
  }
}
