package io.github.recurrentkif.graph.operators;

import io.github.recurrentkif.graph.Attribute;
import io.github.recurrentkif.graph.Gradients;
import io.github.recurrentkif.graph.Nodes;
import io.github.recurrentkif.graph.Operator;
import io.github.recurrentkif.graph.Value;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Multi-head attention over sequences of any lengths, one behind the other, by an operator of our
 * own that never holds the scores of all pairs: q [query rows, heads*width], k and v [key rows,
 * keyHeads*width], result as q; the rows of sequence s are {@code offsets[s]} to {@code
 * offsets[s+1]}.
 *
 * <p>The backward pass computes the probabilities again, from the scores. No gradient reaches the
 * bias.
 */
public final class PackedAttention implements Operator {

  /**
   * @param keyHeads divides heads; consecutive heads share one
   */
  public record Form(int heads, int keyHeads, int width, boolean causal, float scale) {}

  /**
   * Keys and values which each sequence has before its own: computed before, or, where they are k
   * and v themselves, those of other sequences.
   *
   * @param keys [cached rows, keyHeads*width]; likewise values
   * @param rows int64 [references]: which rows of both a sequence has, sequence behind sequence
   * @param offsets int64 [sequences + 1]: where the references of each begin
   */
  public record Cache(Value keys, Value values, Value rows, Value offsets) {}

  private final Value q;
  private final Value k;
  private final Value v;
  private final Value queryOffsets;
  private final Value keyOffsets;
  private final @Nullable Value bias;
  private final @Nullable KeyedDropout dropout;
  private final @Nullable Cache cache;
  private final Form form;
  private final Precision precision;

  /**
   * @param bias [heads, distances], the distance 0 in the middle; farther ones than it has count as
   *     its ends
   */
  public PackedAttention(
      Value q,
      Value k,
      Value v,
      Value queryOffsets,
      Value keyOffsets,
      @Nullable Value bias,
      @Nullable KeyedDropout dropout,
      Form form,
      Precision precision) {
    this(q, k, v, queryOffsets, keyOffsets, bias, dropout, null, form, precision);
  }

  private PackedAttention(
      Value q,
      Value k,
      Value v,
      Value queryOffsets,
      Value keyOffsets,
      @Nullable Value bias,
      @Nullable KeyedDropout dropout,
      @Nullable Cache cache,
      Form form,
      Precision precision) {
    if (bias != null && bias.differentiable()) {
      throw new IllegalArgumentException("no gradient would reach the trained bias " + bias);
    }
    this.q = q;
    this.k = k;
    this.v = v;
    this.queryOffsets = queryOffsets;
    this.keyOffsets = keyOffsets;
    this.bias = bias;
    this.dropout = dropout;
    this.cache = cache;
    this.form = form;
    this.precision = precision;
  }

  /** With a cache. Nothing is dropped, and of a cache other than k and v there is no gradient. */
  public static PackedAttention overCache(
      Value q,
      Value k,
      Value v,
      Value queryOffsets,
      Value keyOffsets,
      @Nullable Value bias,
      Cache cache,
      Form form,
      Precision precision) {
    return new PackedAttention(
        q, k, v, queryOffsets, keyOffsets, bias, null, cache, form, precision);
  }

  @Override
  public List<Value> inputs() {
    return List.of(q, k, v);
  }

  @Override
  public Value forward(Nodes nodes) {
    List<@Nullable Value> inputs = withSequences(q, k, v);
    if (cache != null) {
      inputs.addAll(List.of(cache.keys(), cache.values(), cache.rows(), cache.offsets()));
    }
    return nodes
        .own("PackedAttention", 1, withoutAbsentEnd(inputs), attributes(precision.forward()))
        .getFirst();
  }

  @Override
  public void backward(Nodes nodes, Value dy, Gradients gradients) {
    List<@Nullable Value> inputs = withSequences(dy, q, k, v, null, null);
    if (cache != null) {
      if (cache.keys() != k || cache.values() != v) {
        throw new IllegalStateException("no gradient reaches a cache of earlier rows");
      }
      inputs.addAll(List.of(cache.rows(), cache.offsets()));
    }
    List<Value> d =
        nodes.own(
            "PackedAttentionGrad",
            wanted(gradients),
            withoutAbsentEnd(inputs),
            attributes(precision.backward()));
    for (int i = 0; i < d.size(); i++) {
      gradients.add(inputs().get(i), d.get(i));
    }
  }

  /** Which of dq, dk and dv, up to the last one. */
  private List<Boolean> wanted(Gradients gradients) {
    List<Boolean> wanted =
        new ArrayList<>(List.of(gradients.needs(q), gradients.needs(k), gradients.needs(v)));
    while (!wanted.getLast()) {
      wanted.removeLast();
    }
    return wanted;
  }

  private List<@Nullable Value> withSequences(@Nullable Value... first) {
    List<@Nullable Value> inputs = new ArrayList<>(Arrays.asList(first));
    inputs.add(queryOffsets);
    inputs.add(keyOffsets);
    inputs.add(bias);
    inputs.add(dropout == null ? null : dropout.keys());
    return inputs;
  }

  private static List<@Nullable Value> withoutAbsentEnd(List<@Nullable Value> inputs) {
    while (inputs.getLast() == null) {
      inputs.removeLast();
    }
    return inputs;
  }

  private Attribute[] attributes(String factors) {
    List<Attribute> attributes = new ArrayList<>();
    attributes.add(Attribute.of("heads", form.heads()));
    attributes.add(Attribute.of("key_heads", form.keyHeads()));
    attributes.add(Attribute.of("width", form.width()));
    attributes.add(Attribute.of("causal", form.causal() ? 1 : 0));
    attributes.add(Attribute.of("scale", form.scale()));
    // The softmax by the formula of Attention, for which the gradient needs no result of the
    // forward pass. Taking probabilities from a saved log-sum-exp leaves rounding noise in
    // gradients that are all but zero, which Adam turns into steps.
    attributes.add(Attribute.of("plain", 1));
    attributes.add(Attribute.of("precision", factors));
    if (dropout != null) {
      attributes.add(dropout.placeAttribute());
      attributes.add(dropout.probabilityAttribute());
    }
    return attributes.toArray(Attribute[]::new);
  }
}
