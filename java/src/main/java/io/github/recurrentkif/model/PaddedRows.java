package io.github.recurrentkif.model;

import io.github.recurrentkif.graph.Dimension;
import io.github.recurrentkif.graph.ElementType;
import io.github.recurrentkif.graph.Graph;
import io.github.recurrentkif.graph.Nodes;
import io.github.recurrentkif.graph.Value;
import io.github.recurrentkif.graph.operators.Activation;
import io.github.recurrentkif.graph.operators.Attention;
import io.github.recurrentkif.graph.operators.BatchedBias;
import io.github.recurrentkif.graph.operators.Bf16Linear;
import io.github.recurrentkif.graph.operators.CrossEntropy;
import io.github.recurrentkif.graph.operators.Divergence;
import io.github.recurrentkif.graph.operators.Dropout;
import io.github.recurrentkif.graph.operators.Embedding;
import io.github.recurrentkif.graph.operators.Linear;
import io.github.recurrentkif.graph.operators.LowRankUpdate;
import io.github.recurrentkif.graph.operators.Precision;
import io.github.recurrentkif.graph.operators.Product;
import io.github.recurrentkif.graph.operators.RelativePositionBias;
import io.github.recurrentkif.graph.operators.RmsNorm;
import io.github.recurrentkif.graph.operators.RotaryEmbedding;
import io.github.recurrentkif.graph.operators.Sum;
import io.github.recurrentkif.model.DropoutPlace.Side;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * One micro-batch, sequences padded to the same length: row {@code sequence*length + position}, on
 * the operators of the stock runtime. Dropout masks are inputs.
 *
 * <p>Sources have an attention mask; targets are padded on the right only and have none, since
 * whoever attends to them looks back.
 */
final class PaddedRows implements TokenRows {

  /** What a hidden key adds to its score: the most negative float, as Hugging Face masks. */
  static final float HIDDEN = -Float.MAX_VALUE;

  private final Graph graph;
  private final AdapterMagnitudes magnitudes = new AdapterMagnitudes();
  private final Nodes nodes;
  private final ElementType weightType;
  private boolean dropout;
  private final List<DropoutPlace> dropoutPlaces = new ArrayList<>();
  private final Map<Side, Tokens> tokens = new EnumMap<>(Side.class);
  private final Map<Side, Value> sequences = new EnumMap<>(Side.class);
  private final Map<HeadShape, Value> headShapes = new HashMap<>();
  private final Map<MaskKind, Value> masks = new HashMap<>();
  private RotaryEmbedding.@Nullable Angles angles;

  private record Tokens(Value ids, Value batchAndLength, @Nullable Value mask) {}

  private record HeadShape(Side side, int heads, int width) {}

  private record MaskKind(Side queries, Side keys, boolean causal) {}

  /**
   * @param dropout whether masks are applied: when training
   * @param precision float32, or bf16 where a GPU is to run the graph
   */
  PaddedRows(Graph graph, boolean dropout, Precision precision) {
    this.graph = graph;
    this.nodes = graph.nodes();
    this.dropout = dropout;
    this.weightType =
        switch (precision) {
          case FLOAT32 -> ElementType.FLOAT32;
          case BF16 -> ElementType.BFLOAT16;
          case BF16_BACKWARD ->
              throw new IllegalArgumentException("stock operators have no " + precision);
        };
  }

  @Override
  public ElementType weightType() {
    return weightType;
  }

  /** What comes of a pass in which nothing is dropped. */
  Value still(Supplier<Value> pass) {
    boolean dropped = dropout;
    dropout = false;
    Value result = pass.get();
    dropout = dropped;
    return result;
  }

  @Override
  public Value ids(Side side) {
    return tokens(side).ids();
  }

  private Tokens tokens(Side side) {
    return tokens.computeIfAbsent(
        side,
        _ -> {
          boolean source = side == Side.SOURCE;
          Value ids = input(source ? "input_ids" : "decoder_input_ids", side);
          Value mask = source ? input("attention_mask", side) : null;
          return new Tokens(nodes.reshape(ids, nodes.vector(-1)), nodes.shapeOf(ids), mask);
        });
  }

  @Override
  public Value sequences(Side side) {
    return sequences.computeIfAbsent(
        side, _ -> nodes.reshape(input(TokenRows.sequencesName(side), side), nodes.vector(-1)));
  }

  private Value input(String name, Side side) {
    return graph.input(name, ElementType.INT64, Dimension.of("batch"), lengthOf(side));
  }

  private static Dimension lengthOf(Side side) {
    return Dimension.of(side == Side.SOURCE ? "source" : "target");
  }

  @Override
  public Value linear(Value x, Value weight) {
    return product(graph, x, weight, 1);
  }

  /** {@code scale * x W^T} with W [out, in] in either type. */
  static Value product(Graph graph, Value x, Value weight, float scale) {
    return graph.apply(
        weight.bfloat16() ? new Bf16Linear(x, weight, scale) : new Linear(x, weight, scale));
  }

  @Override
  public Value adapted(Value base, Value x, Side side, Adapter adapter) {
    Value dropped = dropped(x, side, adapter.width(), adapter.dropout());
    return graph.apply(new LowRankUpdate(base, dropped, adapter.a(), adapter.b(), adapter.scale()));
  }

  @Override
  public Value residual(Value x, Value branch, Side side, int width, double probability) {
    return graph.apply(new Sum(x, dropped(branch, side, width, probability)));
  }

  @Override
  public Value gated(Activation.Function function, Value gate, Value up) {
    return graph.apply(new Product(graph.apply(new Activation(function, gate)), up));
  }

  @Override
  public Value feedForward(Value x, Value h, FeedForward layer, Side side) {
    Value activated = graph.apply(new Activation(Activation.Function.RELU, linear(h, layer.wi())));
    Value kept = dropped(activated, side, layer.wide(), layer.dropout());
    return residual(x, kept, layer.wo(), side, layer.width(), layer.dropout());
  }

  @Override
  public AdapterMagnitudes magnitudes() {
    return magnitudes;
  }

  @Override
  public Value norm(Value x, Value scale, float epsilon) {
    return graph.apply(new RmsNorm(x, scale, epsilon));
  }

  // Attention

  /** The vector [batch, length, heads, width]. */
  Value headShape(Side side, int heads, int width) {
    return headShapes.computeIfAbsent(
        new HeadShape(side, heads, width),
        _ -> nodes.concatenate(0, tokens(side).batchAndLength(), nodes.vector(heads, width)));
  }

  @Override
  public Value positionBias(DistanceBias bias, Attending attending) {
    Value byPair = byPair(graph, bias, distances(attending.queries()), attending.heads());
    return graph.apply(new BatchedBias(byPair, mask(attending)));
  }

  /** The bias [1, heads, queries, keys] of distances [queries, keys]. */
  static Value byPair(Graph graph, DistanceBias bias, Value distances, int heads) {
    Nodes nodes = graph.nodes();
    long reach = bias.bucketsByDistance().length / 2;
    Value index =
        nodes.add(
            nodes.clip(distances, nodes.constant(-reach), nodes.constant(reach)),
            nodes.constant(reach));
    Value bucketIds = nodes.gather(nodes.vector(bias.bucketsByDistance()), index);
    return graph.apply(new RelativePositionBias(bias.table(), bucketIds, bias.buckets(), heads));
  }

  /** Key position minus query position, [length, length]. */
  private Value distances(Side side) {
    Value positions = nodes.range(nodes.gather(tokens(side).batchAndLength(), nodes.constant(1L)));
    return nodes.subtract(nodes.unsqueeze(positions, 0), nodes.unsqueeze(positions, 1));
  }

  @Override
  public Value attention(Value q, Value k, Value v, @Nullable Value bias, Attending attending) {
    Attention.Heads heads =
        new Attention.Heads(
            attending.heads(),
            attending.keyHeads(),
            attending.width(),
            headShape(attending.queries(), attending.heads(), attending.width()),
            headShape(attending.keys(), attending.keyHeads(), attending.width()));
    Value dropped =
        dropoutMask(
            attending.dropout(),
            new DropoutPlace.Pairs(attending.heads(), attending.queries(), attending.keys()));
    Value added = bias == null ? mask(attending) : bias;
    return graph.apply(new Attention(q, k, v, added, dropped, heads, attending.scale()));
  }

  /**
   * {@link #HIDDEN} where a key is padding or, if causal, comes after the query; broadcastable to
   * [batch, heads, queries, keys]. One number for both, since the sum of two would be infinite.
   */
  private Value mask(Attending attending) {
    return masks.computeIfAbsent(
        new MaskKind(attending.queries(), attending.keys(), attending.causal()),
        _ -> newMask(attending));
  }

  private Value newMask(Attending attending) {
    Value ahead =
        attending.causal()
            ? nodes.castToFloat(nodes.greater(distances(attending.queries()), nodes.constant(0L)))
            : null;
    Value mask = tokens(attending.keys()).mask();
    Value hidden;
    if (mask == null) {
      hidden = Objects.requireNonNull(ahead, "padding without a mask is only behind the queries");
    } else {
      Value padded =
          nodes.unsqueeze(nodes.subtract(nodes.constant(1f), nodes.castToFloat(mask)), 1, 2);
      hidden = ahead == null ? padded : nodes.maximum(ahead, padded);
    }
    return nodes.multiply(hidden, nodes.constant(HIDDEN));
  }

  @Override
  public Value turned(Value x, int heads, int width) {
    if (angles == null) {
      angles = angles(graph, "source", width);
    }
    return graph.apply(
        new RotaryEmbedding(x, angles, heads, width, tokens(Side.SOURCE).batchAndLength()));
  }

  /** The inputs cosine and sine; one row for all sequences where they have the same positions. */
  static RotaryEmbedding.Angles angles(Graph graph, String length, int width) {
    return RotaryEmbedding.Angles.of(
        graph.nodes(),
        angleInput(graph, "cosine", length, width),
        angleInput(graph, "sine", length, width));
  }

  private static Value angleInput(Graph graph, String name, String length, int width) {
    return graph.input(
        name,
        ElementType.FLOAT32,
        Dimension.of("position_rows"),
        Dimension.of(length),
        Dimension.of(1),
        Dimension.of(1),
        Dimension.of(width / 2));
  }

  // Loss

  @Override
  public void learn(Value rows, Head head, boolean labelledOnly) {
    Dimension count = labelled(labelledOnly);
    Value places = labelledOnly ? logitRows() : null;
    Value labels = graph.input("labels", ElementType.INT64, count, Dimension.of(1));
    Value weights = tokenWeights(count);
    Value logits = logits(rows, places, head);
    Value loss = graph.apply(new CrossEntropy(logits, labels, weights));
    graph.differentiate(loss);
    graph.output(loss, "loss", ElementType.FLOAT32);
    graph.output(logits, "logits", ElementType.FLOAT32, count, Dimension.of(head.vocabulary()));
    magnitudes.write(
        graph,
        side -> {
          Value mask = tokens(side).mask();
          // Where there is no mask, every token is learned.
          return mask == null
              ? nodes.sign(weights)
              : nodes.reshape(nodes.castToFloat(mask), nodes.vector(-1, 1));
        });
  }

  private static Dimension labelled(boolean labelledOnly) {
    return Dimension.of(labelledOnly ? "labelled" : "target_rows");
  }

  private Value logitRows() {
    return graph.input("logit_rows", ElementType.INT64, labelled(true));
  }

  private Value tokenWeights(Dimension count) {
    return graph.input("token_weights", ElementType.FLOAT32, count, Dimension.of(1));
  }

  /** Ends a graph that holds answers to those of the rows before, of the same tokens. */
  void hold(ModelGraphs.Answering now, Value before) {
    TokenRows.Head head = now.head();
    Value places = now.labelledOnly() ? logitRows() : null;
    Value loss =
        graph.apply(
            new Divergence(
                logits(before, places, head),
                logits(now.rows(), places, head),
                tokenWeights(labelled(now.labelledOnly()))));
    graph.differentiate(loss);
    graph.output(loss, "loss", ElementType.FLOAT32);
  }

  private Value logits(Value rows, @Nullable Value places, Head head) {
    Value chosen = places == null ? rows : graph.apply(new Embedding(places, rows));
    return product(graph, chosen, head.weight(), head.scale());
  }

  // Dropout

  @Override
  public Value dropped(Value x, Side side, int width, double probability) {
    Value mask = dropoutMask(probability, new DropoutPlace.Rows(side, width));
    return mask == null ? x : graph.apply(new Dropout(x, mask));
  }

  private @Nullable Value dropoutMask(double probability, DropoutPlace.Extent extent) {
    if (!dropout || probability == 0) {
      return null;
    }
    int index = dropoutPlaces.size();
    String name = "dropout." + index;
    dropoutPlaces.add(new DropoutPlace(index, name, probability, extent));
    return switch (extent) {
      case DropoutPlace.Rows rows ->
          graph.input(
              name,
              ElementType.FLOAT32,
              Dimension.of("batch"),
              lengthOf(rows.side()),
              Dimension.of(rows.width()));
      case DropoutPlace.Pairs pairs ->
          graph.input(
              name,
              ElementType.FLOAT32,
              Dimension.of("batch_heads"),
              lengthOf(pairs.queries()),
              lengthOf(pairs.keys()));
    };
  }

  @Override
  public List<DropoutPlace> dropoutPlaces() {
    return List.copyOf(dropoutPlaces);
  }
}
