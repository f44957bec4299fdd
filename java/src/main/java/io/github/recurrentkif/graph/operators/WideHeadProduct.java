package io.github.recurrentkif.graph.operators;

import io.github.recurrentkif.graph.Gradients;
import io.github.recurrentkif.graph.Nodes;
import io.github.recurrentkif.graph.Operator;
import io.github.recurrentkif.graph.Value;
import java.util.List;

/**
 * {@link HeadProduct} into the width, of what was mixed of rows that have the low-rank part of
 * their own adapter beside them, [x | t] with {@code t = scale * drop(x) A^T}: each head h has rows
 * of its own of the frozen weight [heads*width, depth] and of the adapter's b [heads*width, rank],
 *
 * <pre>
 * y_h = [o_h | u_h] [W_h | B_h]^T = o_h W_h^T + u_h B_h^T     mixed [rows, heads*(depth+rank)], y [rows, heads*width]
 * </pre>
 *
 * <p>{@code d[o_h | u_h] = dy_h [W_h | B_h]}, {@code dB_h = dy_h^T u_h}.
 */
public final class WideHeadProduct implements Operator {

  private final Value mixed;
  private final Value weight;
  private final Value b;
  private final int rank;
  private final HeadProduct.Heads heads;

  public WideHeadProduct(Value mixed, Value weight, Value b, int rank, HeadProduct.Heads heads) {
    FrozenLinear.requireFrozen(weight);
    this.mixed = mixed;
    this.weight = weight;
    this.b = b;
    this.rank = rank;
    this.heads = heads;
  }

  @Override
  public List<Value> inputs() {
    return List.of(mixed, b);
  }

  @Override
  public Value forward(Nodes nodes) {
    return product(nodes, mixed, HeadProduct.Into.WIDTH);
  }

  private Value product(Nodes nodes, Value x, HeadProduct.Into into) {
    Value both = nodes.concatenate(1, weight, b);
    return HeadProduct.product(nodes, List.of(x, both), heads.heads(), 1, into);
  }

  @Override
  public void backward(Nodes nodes, Value dy, Gradients gradients) {
    if (gradients.needs(mixed)) {
      gradients.add(mixed, product(nodes, dy, HeadProduct.Into.DEPTH));
    }
    Value both = headsFirst(nodes, mixed, heads.depth() + rank);
    Value u = nodes.split(2, both, nodes.vector(heads.depth(), rank)).getLast();
    Value db = nodes.product(headsFirst(nodes, dy, heads.width()), true, u, false, 1);
    gradients.add(b, nodes.reshape(db, nodes.vector(-1, rank)));
  }

  /** Rows of all heads as [heads, rows, width]. */
  private Value headsFirst(Nodes nodes, Value rows, int width) {
    return HeadProduct.headsFirst(nodes, rows, heads.heads(), width);
  }
}
