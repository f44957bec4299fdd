package io.github.recurrentkif.model;

import io.github.recurrentkif.graph.Dimension;
import io.github.recurrentkif.graph.ElementType;
import io.github.recurrentkif.graph.Graph;
import io.github.recurrentkif.graph.Nodes;
import io.github.recurrentkif.graph.Value;
import io.github.recurrentkif.graph.operators.Drop;
import io.github.recurrentkif.graph.operators.Embedding;
import io.github.recurrentkif.graph.operators.FrozenLinear;
import io.github.recurrentkif.graph.operators.FusedRmsNorm;
import io.github.recurrentkif.graph.operators.HeadLoss;
import io.github.recurrentkif.graph.operators.KeyedDropout;
import io.github.recurrentkif.graph.operators.PackedAttention;
import io.github.recurrentkif.graph.operators.PackedRotaryEmbedding;
import io.github.recurrentkif.model.DropoutPlace.Side;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The sequences of a whole update one behind the other, without padding, on operators of our own;
 * for a backbone that is not trained. Dropout happens inside the operators.
 *
 * <p>Inputs: {@code input_ids} [source tokens] and {@code source_offsets} [sequences + 1], for a
 * model with targets {@code decoder_input_ids} and {@code target_offsets}, where anything drops
 * {@code dropout_keys} [sequences, 3] as {@link KeyedDropout} has them, for a model that turns its
 * heads {@code cosine} and {@code sine} [source tokens, width/2].
 */
final class PackedRows implements TokenRows {

  private final Graph graph;
  private final boolean dropout;
  private final Map<Side, Value> ids = new EnumMap<>(Side.class);
  private final Map<Side, Value> offsets = new EnumMap<>(Side.class);
  private @Nullable Value keys;
  private @Nullable Value cosine;
  private @Nullable Value sine;
  private int places;

  /**
   * @param dropout whether anything is dropped: when training
   */
  PackedRows(Graph graph, boolean dropout) {
    this.graph = graph;
    this.dropout = dropout;
  }

  @Override
  public Value ids(Side side) {
    return ids.computeIfAbsent(
        side,
        _ ->
            graph.input(
                side == Side.SOURCE ? "input_ids" : "decoder_input_ids",
                ElementType.INT64,
                tokensOf(side)));
  }

  private Value offsets(Side side) {
    return offsets.computeIfAbsent(
        side,
        _ ->
            graph.input(
                side == Side.SOURCE ? "source_offsets" : "target_offsets",
                ElementType.INT64,
                Dimension.of("bounds")));
  }

  private static Dimension tokensOf(Side side) {
    return Dimension.of(side == Side.SOURCE ? "source_tokens" : "target_tokens");
  }

  @Override
  public Value linear(Value x, Value weight) {
    return graph.apply(new FrozenLinear(x, weight));
  }

  @Override
  public Value norm(Value x, Value scale, float epsilon) {
    return graph.apply(new FusedRmsNorm(x, scale, epsilon));
  }

  /** [heads, distances]. */
  @Override
  public Value positionBias(DistanceBias bias, Attending attending) {
    Nodes nodes = graph.nodes();
    // The first offset is 0. Without it both operands would be constants, and the runtime would
    // look the table up while it opens the model, when the weights are not there yet.
    Value zero = nodes.gather(offsets(attending.keys()), nodes.vector(0));
    Value buckets = nodes.add(nodes.vector(bias.bucketsByDistance()), zero);
    Value byDistance = nodes.gather(bias.table(), buckets);
    return nodes.transpose(byDistance, 1L, 0L);
  }

  @Override
  public Value attention(Value q, Value k, Value v, @Nullable Value bias, Attending attending) {
    KeyedDropout dropped = keyed(attending.dropout());
    PackedAttention.Form form =
        new PackedAttention.Form(
            attending.heads(),
            attending.keyHeads(),
            attending.width(),
            attending.causal(),
            attending.scale());
    return graph.apply(
        new PackedAttention(
            q, k, v, offsets(attending.queries()), offsets(attending.keys()), bias, dropped, form));
  }

  @Override
  public Value turned(Value x, int heads, int width) {
    if (cosine == null || sine == null) {
      cosine = angles("cosine", width);
      sine = angles("sine", width);
    }
    return graph.apply(new PackedRotaryEmbedding(x, cosine, sine, heads, width));
  }

  private Value angles(String name, int width) {
    return graph.input(name, ElementType.FLOAT32, tokensOf(Side.SOURCE), Dimension.of(width / 2));
  }

  @Override
  public void learn(Value rows, Head head, boolean labelledOnly) {
    Dimension count = labelledOnly ? Dimension.of("labelled") : tokensOf(Side.TARGET);
    Value chosen = rows;
    if (labelledOnly) {
      Value places = graph.input("logit_rows", ElementType.INT64, count);
      chosen = graph.apply(new Embedding(places, rows));
    }
    Value labels = graph.input("labels", ElementType.INT64, count, Dimension.of(1));
    Value weights = graph.input("token_weights", ElementType.FLOAT32, count, Dimension.of(1));
    HeadLoss loss = new HeadLoss(chosen, head.weight(), labels, weights, head.scale());
    graph.differentiate(graph.apply(loss));
    graph.output(loss.tokenLosses(), "token_losses", ElementType.FLOAT32, count, Dimension.of(1));
  }

  @Override
  public Value dropped(Value x, Side side, int width, double probability) {
    KeyedDropout drawn = keyed(probability);
    return drawn == null ? x : graph.apply(new Drop(x, offsets(side), drawn));
  }

  private @Nullable KeyedDropout keyed(double probability) {
    if (!dropout || probability == 0) {
      return null;
    }
    if (keys == null) {
      keys =
          graph.input(
              "dropout_keys", ElementType.INT64, Dimension.of("sequences"), Dimension.of(3));
    }
    return new KeyedDropout(keys, places++, probability);
  }

  @Override
  public List<DropoutPlace> dropoutPlaces() {
    return List.of();
  }
}
