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
 * <p>q [batch*queries, heads*width], k and v [batch*keys, keyHeads*width], result as q; bias
 * broadcastable to [batch, heads, queries, keys]; the dropout mask, if any, [batch*heads, queries,
 * keys].
 *
 * <p>Where there are fewer key heads than heads (grouped queries, Ainslie et al., 2023),
 * consecutive heads share one. The queries of such a group are taken as rows of one matrix, so that
 * keys and values are never repeated and the products of the backward pass add up over the group.
 *
 * <p>The softmax's gradient is {@code p * (dp - sum(dp * p))} with that very sum: where there is
 * one key only it is exactly zero. Taking the equal {@code sum(do * o)} instead leaves rounding
 * noise, which Adam turns into steps.
 */
public final class Attention implements Operator {

  /**
   * Number and width of the heads, and how the rows are arranged.
   *
   * @param keyCount divides count
   * @param queryShape the vector [batch, queries, heads, width]
   * @param keyShape the vector [batch, keys, keyHeads, width]
   */
  public record Heads(long count, long keyCount, long width, Value queryShape, Value keyShape) {

    public Heads {
      if (keyCount < 1 || count % keyCount != 0) {
        throw new IllegalArgumentException(
            "%d heads cannot share %d key heads evenly".formatted(count, keyCount));
      }
    }

    /** Every head has keys and values of its own. */
    public Heads(long count, long width, Value queryShape, Value keyShape) {
      this(count, count, width, queryShape, keyShape);
    }

    private boolean grouped() {
      return keyCount != count;
    }
  }

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
    Value splitQ = grouped(nodes, split(nodes, q, heads.queryShape()));
    Value splitK = split(nodes, k, heads.keyShape());
    Value splitV = split(nodes, v, heads.keyShape());
    Value scores = nodes.add(apart(nodes, nodes.product(splitQ, false, splitK, true, scale)), bias);
    Value probabilities = nodes.softmax(scores);
    Value mask = null;
    Value dropped = probabilities;
    if (dropoutMask != null) {
      mask = nodes.reshape(dropoutMask, nodes.shapeOf(probabilities));
      dropped = nodes.multiply(probabilities, mask);
    }
    dropped = together(nodes, dropped);
    saved = new Saved(splitQ, splitK, splitV, probabilities, dropped, mask);
    return join(nodes, ungrouped(nodes, nodes.product(dropped, splitV)), heads.count());
  }

  @Override
  public void backward(Nodes nodes, Value dy, Gradients gradients) {
    if (saved == null) {
      throw new IllegalStateException("backward before forward");
    }
    Saved s = saved;
    Value dOut = grouped(nodes, split(nodes, dy, heads.queryShape()));
    if (gradients.needs(v)) {
      gradients.add(
          v, join(nodes, nodes.product(s.dropped(), true, dOut, false, 1), heads.keyCount()));
    }
    if (!gradients.needs(q) && !gradients.needs(k) && !gradients.needs(bias)) {
      return;
    }
    Value dp = apart(nodes, nodes.product(dOut, false, s.v(), true, 1));
    if (s.mask() != null) {
      dp = nodes.multiply(dp, s.mask());
    }
    Value weighted = nodes.multiply(dp, s.probabilities());
    Value ds =
        nodes.subtract(weighted, nodes.multiply(s.probabilities(), nodes.sum(weighted, true, -1)));
    gradients.add(bias, ds);
    Value grouped = together(nodes, ds);
    if (gradients.needs(q)) {
      Value dq = ungrouped(nodes, nodes.product(grouped, false, s.k(), false, scale));
      gradients.add(q, join(nodes, dq, heads.count()));
    }
    if (gradients.needs(k)) {
      gradients.add(
          k, join(nodes, nodes.product(grouped, true, s.q(), false, scale), heads.keyCount()));
    }
  }

  /** [batch*length, heads*width] to [batch, heads, length, width]. */
  private Value split(Nodes nodes, Value x, Value shape) {
    return nodes.transpose(nodes.reshape(x, shape), 0L, 2L, 1L, 3L);
  }

  private Value join(Nodes nodes, Value x, long count) {
    return nodes.reshape(
        nodes.transpose(x, 0L, 2L, 1L, 3L), nodes.vector(-1, count * heads.width()));
  }

  /** [batch, heads, queries, width] to [batch, keyHeads, group*queries, width]. */
  private Value grouped(Nodes nodes, Value x) {
    return heads.grouped()
        ? nodes.reshape(x, nodes.vector(0, heads.keyCount(), -1, heads.width()))
        : x;
  }

  private Value ungrouped(Nodes nodes, Value x) {
    return heads.grouped()
        ? nodes.reshape(x, nodes.vector(0, heads.count(), -1, heads.width()))
        : x;
  }

  /** [batch, keyHeads, group*queries, keys] to [batch, heads, queries, keys]. */
  private Value apart(Nodes nodes, Value scores) {
    return heads.grouped()
        ? nodes.reshape(scores, scoreShape(nodes, heads.count(), false))
        : scores;
  }

  private Value together(Nodes nodes, Value scores) {
    return heads.grouped()
        ? nodes.reshape(scores, scoreShape(nodes, heads.keyCount(), true))
        : scores;
  }

  private Value scoreShape(Nodes nodes, long count, boolean inferQueries) {
    Value queries =
        inferQueries ? nodes.vector(-1) : nodes.gather(heads.queryShape(), nodes.vector(1));
    return nodes.concatenate(
        0,
        nodes.gather(heads.queryShape(), nodes.vector(0)),
        nodes.vector(count),
        queries,
        nodes.gather(heads.keyShape(), nodes.vector(1)));
  }
}
