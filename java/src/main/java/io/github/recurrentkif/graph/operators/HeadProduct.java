package io.github.recurrentkif.graph.operators;

import io.github.recurrentkif.graph.Attribute;
import io.github.recurrentkif.graph.Gradients;
import io.github.recurrentkif.graph.Nodes;
import io.github.recurrentkif.graph.Operator;
import io.github.recurrentkif.graph.Value;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What lets an attention do without keys and values of its own: since {@code q . (W x) = (q W) .
 * x}, its queries can ask the rows x themselves, and what it mixes of these becomes what it would
 * have mixed of values. Each head h has rows of its own W_h of the frozen weight [heads*width,
 * depth] of a linear layer, and B_h of the adapter's:
 *
 * <pre>
 * into the depth:  y_h = x_h W_h + scale * (x_h B_h) A           x [rows, heads*width], y [rows, heads*depth]
 * into the width:  y_h = x_h W_h^T + scale * (x_h A^T) B_h^T     x [rows, heads*depth], y [rows, heads*width]
 * </pre>
 *
 * <p>Each is the gradient of the other with respect to x. With n what lies in the width of the two,
 * x or the gradient of y, and d what lies in the depth: {@code dA = scale * sum over h of (n_h
 * B_h)^T d_h} and {@code dB_h = scale * n_h^T (d_h A^T)}.
 */
public final class HeadProduct implements Operator {

  /** From what a head has to what. */
  public enum Into {
    /** Queries [rows, heads*width] to [rows, heads*depth]. */
    DEPTH,
    /** What was mixed [rows, heads*depth] to [rows, heads*width]. */
    WIDTH
  }

  /** The low-rank adapter of the layer: a [rank, depth], b [heads*width, rank]. */
  public record Adapter(Value a, Value b, int rank, float scale) {}

  /** The sizes of the weight. */
  public record Heads(int heads, int width, int depth) {}

  private final Value x;
  private final Value weight;
  private final @Nullable Adapter adapter;
  private final Heads heads;
  private final Into into;

  public HeadProduct(Value x, Value weight, @Nullable Adapter adapter, Heads heads, Into into) {
    FrozenLinear.requireFrozen(weight);
    this.x = x;
    this.weight = weight;
    this.adapter = adapter;
    this.heads = heads;
    this.into = into;
  }

  @Override
  public List<Value> inputs() {
    return adapter == null ? List.of(x) : List.of(x, adapter.a(), adapter.b());
  }

  @Override
  public Value forward(Nodes nodes) {
    return product(nodes, x, into);
  }

  private Value product(Nodes nodes, Value of, Into where) {
    List<@Nullable Value> inputs = new ArrayList<>(List.of(of, weight));
    if (adapter != null) {
      inputs.addAll(List.of(adapter.a(), adapter.b()));
    }
    return product(nodes, inputs, heads.heads(), adapter == null ? 1 : adapter.scale(), where);
  }

  static Value product(
      Nodes nodes, List<@Nullable Value> inputs, int heads, float scale, Into into) {
    return nodes
        .own(
            "HeadProduct",
            1,
            inputs,
            Attribute.of("heads", heads),
            Attribute.of("scale", scale),
            Attribute.of(
                "into",
                switch (into) {
                  case DEPTH -> "depth";
                  case WIDTH -> "width";
                }))
        .getFirst();
  }

  @Override
  public void backward(Nodes nodes, Value dy, Gradients gradients) {
    if (gradients.needs(x)) {
      gradients.add(x, product(nodes, dy, into == Into.DEPTH ? Into.WIDTH : Into.DEPTH));
    }
    if (adapter == null) {
      return;
    }
    Value inWidth = into == Into.DEPTH ? x : dy;
    Value inDepth = into == Into.DEPTH ? dy : x;
    // [heads, rows, width], and [rows*heads, depth].
    Value n = headsFirst(nodes, inWidth, heads.width());
    Value d = nodes.reshape(inDepth, nodes.vector(-1, heads.depth()));
    Value b =
        nodes.reshape(adapter.b(), nodes.vector(heads.heads(), heads.width(), adapter.rank()));
    if (gradients.needs(adapter.a())) {
      Value t = nodes.transpose(nodes.product(n, b), 1L, 0L, 2L);
      Value rows = nodes.reshape(t, nodes.vector(-1, adapter.rank()));
      gradients.addProduct(adapter.a(), rows, true, d, false, adapter.scale());
    }
    if (gradients.needs(adapter.b())) {
      Value t = nodes.product(d, false, adapter.a(), true, adapter.scale());
      Value db = nodes.product(n, true, headsFirst(nodes, t, adapter.rank()), false, 1);
      gradients.add(adapter.b(), nodes.reshape(db, nodes.vector(-1, adapter.rank())));
    }
  }

  /** Rows of all heads as [heads, rows, width]. */
  private Value headsFirst(Nodes nodes, Value rows, int width) {
    return headsFirst(nodes, rows, heads.heads(), width);
  }

  static Value headsFirst(Nodes nodes, Value rows, int heads, int width) {
    return nodes.transpose(nodes.reshape(rows, nodes.vector(-1, heads, width)), 1L, 0L, 2L);
  }
}
