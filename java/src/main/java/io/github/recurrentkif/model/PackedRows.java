package io.github.recurrentkif.model;

import io.github.recurrentkif.graph.Dimension;
import io.github.recurrentkif.graph.ElementType;
import io.github.recurrentkif.graph.Graph;
import io.github.recurrentkif.graph.Nodes;
import io.github.recurrentkif.graph.Value;
import io.github.recurrentkif.graph.operators.Activation;
import io.github.recurrentkif.graph.operators.Drop;
import io.github.recurrentkif.graph.operators.DropAdd;
import io.github.recurrentkif.graph.operators.Embedding;
import io.github.recurrentkif.graph.operators.FewRows;
import io.github.recurrentkif.graph.operators.FrozenFeedForward;
import io.github.recurrentkif.graph.operators.FrozenLinear;
import io.github.recurrentkif.graph.operators.FusedRmsNorm;
import io.github.recurrentkif.graph.operators.Gate;
import io.github.recurrentkif.graph.operators.HeadLoss;
import io.github.recurrentkif.graph.operators.KeyedDropout;
import io.github.recurrentkif.graph.operators.KeyedLowRankUpdate;
import io.github.recurrentkif.graph.operators.NextToken;
import io.github.recurrentkif.graph.operators.PackedAttention;
import io.github.recurrentkif.graph.operators.PackedRotaryEmbedding;
import io.github.recurrentkif.graph.operators.Precision;
import io.github.recurrentkif.graph.operators.Sum;
import io.github.recurrentkif.model.DropoutPlace.Side;
import java.util.HashMap;
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
 *
 * <p>Where sequences share beginnings, what is called a sequence above is a run of tokens, and
 * {@code shared_rows} [references] says which rows come before it, {@code shared_offsets}
 * [sequences + 1] where those of each begin.
 *
 * <p>When decoding, sequences go on where an earlier run ended. Its keys and values are in a cache:
 * {@code cached_key.L} and {@code cached_value.L} [cached tokens, heads*width] of layer L; {@code
 * cached_rows} [references] says which of their rows each sequence has, {@code cached_offsets}
 * [sequences + 1] where those of a sequence begin. Outputs {@code new_key.L} and {@code
 * new_value.L} are to be appended. Sequences that have ended stay, without rows.
 */
final class PackedRows implements TokenRows {

  private final Graph graph;
  private final AdapterMagnitudes magnitudes = new AdapterMagnitudes();
  private final boolean dropout;
  private final boolean sharing;
  private final Precision precision;
  private final FewRows fewRows;
  private final Map<String, Value> named = new HashMap<>();
  private @Nullable Value keys;
  private int places;

  private PackedRows(
      Graph graph, boolean dropout, boolean sharing, Precision precision, FewRows fewRows) {
    this.graph = graph;
    this.dropout = dropout;
    this.sharing = sharing;
    this.precision = precision;
    this.fewRows = fewRows;
  }

  /**
   * Of a training graph.
   *
   * @param dropout whether anything is dropped
   */
  static PackedRows learning(Graph graph, boolean dropout, Precision precision) {
    return new PackedRows(graph, dropout, false, precision, FewRows.AS_MANY);
  }

  /**
   * Of a training graph without dropout, of a model where tokens attend to those before them only:
   * what sequences begin with in common is there once.
   */
  static PackedRows learningOfSharedBeginnings(Graph graph, Precision precision) {
    return new PackedRows(graph, false, true, precision, FewRows.AS_MANY);
  }

  /** Of a graph that decodes. */
  static PackedRows decoding(Graph graph, Precision precision) {
    return new PackedRows(graph, false, false, precision, FewRows.AS_DOTS);
  }

  @Override
  public Value ids(Side side) {
    String name = side == Side.SOURCE ? "input_ids" : "decoder_input_ids";
    return named(name, ElementType.INT64, tokensOf(side));
  }

  @Override
  public Value sequences(Side side) {
    return named(TokenRows.sequencesName(side), ElementType.INT64, tokensOf(side));
  }

  private Value offsets(Side side) {
    return bounds(side == Side.SOURCE ? "source_offsets" : "target_offsets");
  }

  private static Dimension tokensOf(Side side) {
    return Dimension.of(side == Side.SOURCE ? "source_tokens" : "target_tokens");
  }

  @Override
  public Value linear(Value x, Value weight) {
    return graph.apply(new FrozenLinear(null, x, weight, precision, fewRows));
  }

  @Override
  public Value adapted(Value base, Value x, Side side, Adapter adapter) {
    return graph.apply(
        new KeyedLowRankUpdate(
            base,
            x,
            adapter.a(),
            adapter.b(),
            adapter.scale(),
            drops(adapter.dropout()) ? offsets(side) : null,
            keyed(adapter.dropout())));
  }

  @Override
  public Value residual(Value x, Value branch, Side side, int width, double probability) {
    KeyedDropout drawn = keyed(probability);
    return graph.apply(
        drawn == null ? new Sum(x, branch) : new DropAdd(x, branch, offsets(side), drawn));
  }

  @Override
  public Value residual(Value x, Value h, Value weight, Side side, int width, double probability) {
    return drops(probability)
        ? residual(x, linear(h, weight), side, width, probability)
        : graph.apply(new FrozenLinear(x, h, weight, precision, fewRows));
  }

  @Override
  public Value gated(Activation.Function function, Value gate, Value up) {
    return graph.apply(new Gate(function, gate, up));
  }

  @Override
  public Value feedForward(Value x, Value h, FeedForward layer, Side side) {
    boolean drops = drops(layer.dropout());
    Value result =
        graph.apply(
            new FrozenFeedForward(
                drops ? null : x,
                h,
                layer.wi(),
                layer.wo(),
                drops ? offsets(side) : null,
                keyed(layer.dropout()),
                precision,
                fewRows));
    return drops ? residual(x, result, side, layer.width(), layer.dropout()) : result;
  }

  @Override
  public AdapterMagnitudes magnitudes() {
    return magnitudes;
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
    Value queryOffsets = offsets(attending.queries());
    Value keyOffsets = offsets(attending.keys());
    if (sharing) {
      PackedAttention.Cache before =
          new PackedAttention.Cache(
              k,
              v,
              named("shared_rows", ElementType.INT64, Dimension.of("references")),
              bounds("shared_offsets"));
      return graph.apply(
          PackedAttention.overCache(
              q, k, v, queryOffsets, keyOffsets, bias, before, form(attending), precision));
    }
    return graph.apply(
        new PackedAttention(
            q, k, v, queryOffsets, keyOffsets, bias, dropped, form(attending), precision));
  }

  private static PackedAttention.Form form(Attending attending) {
    return new PackedAttention.Form(
        attending.heads(),
        attending.keyHeads(),
        attending.width(),
        attending.causal(),
        attending.scale());
  }

  @Override
  public Value turned(Value x, int heads, int width) {
    return graph.apply(
        new PackedRotaryEmbedding(x, angles("cosine", width), angles("sine", width), heads, width));
  }

  // Decoding

  /** Attention within a side, over what is cached of the layer and the new rows. */
  Value cachedAttention(
      int layer, Value q, Value k, Value v, @Nullable Value bias, Attending attending) {
    return cachedAttention(layer, q, offsets(attending.queries()), k, v, bias, attending);
  }

  /** The same where only the last row of every sequence that has one is asked for. */
  Value cachedAttentionOfAsked(int layer, Value q, Value k, Value v, Attending attending) {
    return cachedAttention(layer, q, bounds("asked_offsets"), k, v, null, attending);
  }

  private Value cachedAttention(
      int layer,
      Value q,
      Value queryOffsets,
      Value k,
      Value v,
      @Nullable Value bias,
      Attending attending) {
    Side side = attending.keys();
    int width = attending.keyHeads() * attending.width();
    Dimension cached = Dimension.of("cached_tokens");
    PackedAttention.Cache cache =
        new PackedAttention.Cache(
            floats("cached_key." + layer, cached, width),
            floats("cached_value." + layer, cached, width),
            named("cached_rows", ElementType.INT64, Dimension.of("references")),
            bounds("cached_offsets"));
    outputRows("new_key." + layer, k, side, width);
    outputRows("new_value." + layer, v, side, width);
    return graph.apply(
        PackedAttention.overCache(
            q, k, v, queryOffsets, offsets(side), bias, cache, form(attending), precision));
  }

  /** Which rows are asked for. */
  Value asked() {
    return named("asked_rows", ElementType.INT64, Dimension.of("asked"));
  }

  Value onlyAsked(Value rows) {
    return graph.apply(new Embedding(asked(), rows));
  }

  /** {@link #turned} of the rows asked for. */
  Value turnedAsked(Value x, int heads, int width) {
    return graph.apply(
        new PackedRotaryEmbedding(
            x, onlyAsked(angles("cosine", width)), onlyAsked(angles("sine", width)), heads, width));
  }

  Value inputRows(String name, Side side, int width) {
    return floats(name, tokensOf(side), width);
  }

  void outputRows(String name, Value value, Side side, int width) {
    graph.output(value, name, ElementType.FLOAT32, tokensOf(side), Dimension.of(width));
  }

  /** Ends a decoding graph: {@code next_token}, by greedy choice. */
  void chooseNext(Value rows, Head head) {
    // The scale is positive: which logit is the largest does not depend on it.
    Value next = graph.apply(new NextToken(rows, head.weight()));
    graph.output(next, "next_token", ElementType.INT64, Dimension.of("asked"));
  }

  private Value floats(String name, Dimension rows, int width) {
    return named(name, ElementType.FLOAT32, rows, Dimension.of(width));
  }

  private Value bounds(String name) {
    return named(name, ElementType.INT64, Dimension.of("bounds"));
  }

  /** An input that several operators share. */
  private Value named(String name, ElementType type, Dimension... dimensions) {
    return named.computeIfAbsent(name, _ -> graph.input(name, type, dimensions));
  }

  private Value angles(String name, int width) {
    return floats(name, tokensOf(Side.SOURCE), width / 2);
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
    HeadLoss loss = new HeadLoss(chosen, head.weight(), labels, weights, head.scale(), precision);
    graph.differentiate(graph.apply(loss));
    graph.output(loss.tokenLosses(), "token_losses", ElementType.FLOAT32, count, Dimension.of(1));
    magnitudes.write(graph, _ -> null);
  }

  @Override
  public Value dropped(Value x, Side side, int width, double probability) {
    KeyedDropout drawn = keyed(probability);
    return drawn == null ? x : graph.apply(new Drop(x, offsets(side), drawn));
  }

  private boolean drops(double probability) {
    return dropout && probability != 0;
  }

  private @Nullable KeyedDropout keyed(double probability) {
    if (!drops(probability)) {
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
