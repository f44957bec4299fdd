package io.github.recurrentkif.graph.operators;

import io.github.recurrentkif.graph.Gradients;
import io.github.recurrentkif.graph.Nodes;
import io.github.recurrentkif.graph.Operator;
import io.github.recurrentkif.graph.Value;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Multi-head attention by the plain formula: {@code softmax(scale * q k^T + bias) v} for every
 * sequence and head.
 *
 * <p>q [batch*queries, heads*width], k and v [batch*keys, heads*width], result as q; bias
 * broadcastable to [batch, heads, queries, keys]; the dropout mask, if any, [batch*heads, queries,
 * keys].
 *
 * <p>The softmax's gradient is {@code p * (dp - sum(dp * p))} with that very sum: where there is
 * one key only it is exactly zero. Taking the equal {@code sum(do * o)} instead leaves rounding
 * noise, which Adam turns into steps.
 */
public final class Attention implements Operator {

  /**
   * Number and width of the heads, and how the rows are arranged.
   *
   * @param queryShape the vector [batch, queries, heads, width]
   * @param keyShape the vector [batch, keys, heads, width]
   */
  public record Heads(long count, long width, Value queryShape, Value keyShape) {}

  private final Value q;
  private final Value k;
  private final Value v;
  private final Value bias;
  private final @Nullable Value dropoutMask;
  private final Heads heads;
  private final float scale;
  private @Nullable Saved saved;

  private record Saved(
      Value q, Value k, Value v, Value probabilities, Value dropped, @Nullable Value mask) {}

  public Attention(
      Value q,
      Value k,
      Value v,
      Value bias,
      @Nullable Value dropoutMask,
      Heads heads,
      float scale) {
    this.q = q;
    this.k = k;
    this.v = v;
    this.bias = bias;
    this.dropoutMask = dropoutMask;
    this.heads = heads;
    this.scale = scale;
  }

  @Override
  public List<Value> inputs() {
    return List.of(q, k, v, bias);
  }

  @Override
  public Value forward(Nodes nodes) {
    Value splitQ = split(nodes, q, heads.queryShape());
    Value splitK = split(nodes, k, heads.keyShape());
    Value splitV = split(nodes, v, heads.keyShape());
    Value scores = nodes.add(nodes.product(splitQ, false, splitK, true, scale), bias);
    Value probabilities = nodes.softmax(scores);
    Value mask = null;
    Value dropped = probabilities;
    if (dropoutMask != null) {
      mask = nodes.reshape(dropoutMask, nodes.shapeOf(probabilities));
      dropped = nodes.multiply(probabilities, mask);
    }
    saved = new Saved(splitQ, splitK, splitV, probabilities, dropped, mask);
    return join(nodes, nodes.product(dropped, splitV));
  }

  @Override
  public void backward(Nodes nodes, Value dy, Gradients gradients) {
    if (saved == null) {
      throw new IllegalStateException("backward before forward");
    }
    Saved s = saved;
    Value dOut = split(nodes, dy, heads.queryShape());
    if (gradients.needs(v)) {
      gradients.add(v, join(nodes, nodes.product(s.dropped(), true, dOut, false, 1)));
    }
    if (!gradients.needs(q) && !gradients.needs(k) && !gradients.needs(bias)) {
      return;
    }
    Value dp = nodes.product(dOut, false, s.v(), true, 1);
    if (s.mask() != null) {
      dp = nodes.multiply(dp, s.mask());
    }
    Value weighted = nodes.multiply(dp, s.probabilities());
    Value ds =
        nodes.subtract(weighted, nodes.multiply(s.probabilities(), nodes.sum(weighted, true, -1)));
    gradients.add(bias, ds);
    if (gradients.needs(q)) {
      gradients.add(q, join(nodes, nodes.product(ds, false, s.k(), false, scale)));
    }
    if (gradients.needs(k)) {
      gradients.add(k, join(nodes, nodes.product(ds, true, s.q(), false, scale)));
    }
  }

  /** [batch*length, heads*width] to [batch, heads, length, width]. */
  private Value split(Nodes nodes, Value x, Value shape) {
    return nodes.transpose(nodes.reshape(x, shape), 0L, 2L, 1L, 3L);
  }

  private Value join(Nodes nodes, Value x) {
    return nodes.reshape(
        nodes.transpose(x, 0L, 2L, 1L, 3L), nodes.vector(-1, heads.count() * heads.width()));
  }
}
