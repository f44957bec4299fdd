package io.github.recurrentkif.model;

import io.github.recurrentkif.graph.Dimension;
import io.github.recurrentkif.graph.ElementType;
import io.github.recurrentkif.graph.Graph;
import io.github.recurrentkif.graph.Nodes;
import io.github.recurrentkif.graph.Value;
import io.github.recurrentkif.graph.operators.Precision;
import io.github.recurrentkif.model.DropoutPlace.Side;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** The graphs of a T5. */
final class T5Graphs implements ModelGraphs {

  private static final String CROSS_SOURCE = "cross_source";

  private final T5Config config;
  private final Trainables trainables;

  T5Graphs(T5Config config, Trainables trainables) {
    this.config = config;
    this.trainables = trainables;
  }

  @Override
  public Answering answering(Graph graph, TokenRows rows, boolean before) {
    return answering(graph, rows, before, false);
  }

  /**
   * The same.
   *
   * @param asking as in {@link T5Blocks#decoder(Value, boolean)}
   */
  private Answering answering(Graph graph, TokenRows rows, boolean before, boolean asking) {
    T5Blocks blocks = new T5Blocks(config, trainables, graph, rows);
    Value decoded = blocks.decoder(before ? blocks.encoderBefore() : blocks.encoder(), asking);
    blocks.requireTargetsMet();
    return new Answering(decoded, blocks.head(), false);
  }

  @Override
  public Optional<ModelGraph> packedTrainingOfShortAnswers(boolean dropout, Precision precision) {
    if (!mayAsk(dropout)) {
      return Optional.empty();
    }
    Graph graph = new Graph();
    PackedRows rows = packedRows(graph, dropout, precision);
    return Optional.of(
        ModelGraphs.learned(
            "packed_training_model_of_short_answers",
            graph,
            rows,
            answering(graph, rows, false, true)));
  }

  /** Keys whose adapter drops elements of an encoded row need the row itself; observed are all. */
  private boolean mayAsk(boolean dropout) {
    if (!Layers.isLinear(trainables) || !(trainables instanceof Trainables.Adapter adapter)) {
      return false;
    }
    LoraConfig lora = adapter.lora();
    String cross = T5Blocks.crossAttention(0);
    if (lora == null) {
      return true;
    }
    boolean drops = dropout && lora.dropout() > 0;
    return !lora.observed() && !(drops && lora.adapts(cross + ".k"));
  }

  @Override
  public List<ModelGraph> decoding(Precision precision) {
    return List.of(encoderStep(precision), decoderStep(precision));
  }

  /** The encoder, and of every decoder layer the keys and values over its output. */
  private ModelGraph encoderStep(Precision precision) {
    Graph graph = new Graph();
    PaddedRows rows = new PaddedRows(graph, false, precision);
    T5Blocks blocks = new T5Blocks(config, trainables, graph, rows);
    Value encoded = blocks.encoder();
    Value headShape = rows.headShape(Side.SOURCE, config.heads(), config.headWidth());
    for (int layer = 0; layer < config.decoderLayers(); layer++) {
      String attention = T5Blocks.crossAttention(layer);
      Value k = heads(graph, blocks.keys(encoded, attention, Side.SOURCE), headShape);
      Value v = heads(graph, blocks.values(encoded, attention, Side.SOURCE), headShape);
      cacheOutput(graph, "cross_key." + layer, k, "source");
      cacheOutput(graph, "cross_value." + layer, v, "source");
    }
    return new ModelGraph("encoder", graph, rows.dropoutPlaces());
  }

  /**
   * One token of every row: from the token and the cached keys and values to the next token by
   * greedy choice and the longer cache.
   */
  private ModelGraph decoderStep(Precision precision) {
    Graph graph = new Graph();
    PaddedRows rows = new PaddedRows(graph, false, precision);
    T5Blocks blocks = new T5Blocks(config, trainables, graph, rows);
    new DecoderStep(graph, graph.nodes(), blocks).write();
    return new ModelGraph("decoder_step", graph, rows.dropoutPlaces());
  }

  @Override
  public List<ModelGraph> packedDecoding(Precision precision) {
    return List.of(packedEncoder(precision), packedDecoderStep(precision));
  }

  /**
   * The same over packed rows: the encoded ones as cross_source [source tokens, model width], or
   * where these cannot be asked as they are, cross_key.L and cross_value.L [source tokens,
   * heads*width].
   */
  private ModelGraph packedEncoder(Precision precision) {
    Graph graph = new Graph();
    PackedRows rows = PackedRows.decoding(graph, precision);
    T5Blocks blocks = new T5Blocks(config, trainables, graph, rows);
    Value encoded = blocks.encoder();
    if (Layers.isLinear(trainables)) {
      rows.outputRows(CROSS_SOURCE, encoded, Side.SOURCE, config.modelWidth());
      return new ModelGraph("packed_encoder", graph, rows.dropoutPlaces());
    }
    for (int layer = 0; layer < config.decoderLayers(); layer++) {
      String attention = T5Blocks.crossAttention(layer);
      Value k = blocks.keys(encoded, attention, Side.SOURCE);
      Value v = blocks.values(encoded, attention, Side.SOURCE);
      rows.outputRows("cross_key." + layer, k, Side.SOURCE, config.innerWidth());
      rows.outputRows("cross_value." + layer, v, Side.SOURCE, config.innerWidth());
    }
    return new ModelGraph("packed_encoder", graph, rows.dropoutPlaces());
  }

  /** One token of every sequence that has a row, over its cache as {@link PackedRows} has it. */
  private ModelGraph packedDecoderStep(Precision precision) {
    Graph graph = new Graph();
    PackedRows rows = PackedRows.decoding(graph, precision);
    T5Blocks blocks = new T5Blocks(config, trainables, graph, rows);
    TokenRows.Attending looking = blocks.lookingBack();
    TokenRows.Attending crossing = blocks.crossing();
    Value bias = rows.positionBias(blocks.decoderBias(), looking);
    Value x =
        blocks.decoder(
            rows.ids(Side.TARGET),
            new T5Blocks.DecoderAttention() {
              @Override
              public Value toTarget(int layer, Value q, Value k, Value v) {
                return rows.cachedAttention(layer, q, k, v, bias, looking);
              }

              @Override
              public Value toSource(int layer, Value q) {
                if (Layers.isLinear(trainables)) {
                  Value encoded = rows.inputRows(CROSS_SOURCE, Side.SOURCE, config.modelWidth());
                  return blocks.askEncoded(q, encoded, layer);
                }
                Value k = rows.inputRows("cross_key." + layer, Side.SOURCE, config.innerWidth());
                Value v = rows.inputRows("cross_value." + layer, Side.SOURCE, config.innerWidth());
                return rows.attention(q, k, v, null, crossing);
              }
            });
    rows.chooseNext(x, blocks.head());
    return new ModelGraph("packed_decoder_step", graph, rows.dropoutPlaces());
  }

  private void cacheOutput(Graph graph, String name, Value value, String length) {
    graph.output(value, name, ElementType.FLOAT32, cacheDimensions(length));
  }

  private Dimension[] cacheDimensions(String length) {
    return new Dimension[] {
      Dimension.of("batch"),
      Dimension.of(config.heads()),
      Dimension.of(length),
      Dimension.of(config.headWidth())
    };
  }

  private static Value heads(Graph graph, Value rows, Value headShape) {
    Nodes nodes = graph.nodes();
    return ModelGraphs.headsFirst(nodes, nodes.reshape(rows, headShape));
  }

  private final class DecoderStep {

    private final Graph graph;
    private final Nodes nodes;
    private final T5Blocks blocks;

    DecoderStep(Graph graph, Nodes nodes, T5Blocks blocks) {
      this.graph = graph;
      this.nodes = nodes;
      this.blocks = blocks;
    }

    void write() {
      Value token =
          graph.input(
              "decoder_input_ids", ElementType.INT64, Dimension.of("batch"), Dimension.of(1));
      Value mask =
          graph.input(
              "attention_mask", ElementType.INT64, Dimension.of("batch"), Dimension.of("source"));
      Value crossMask = keyMask(mask);
      Value headShape =
          nodes.concatenate(
              0, nodes.shapeOf(token), nodes.vector(config.heads(), config.headWidth()));
      Value x =
          blocks.decoder(
              nodes.reshape(token, nodes.vector(-1)),
              new T5Blocks.DecoderAttention() {
                private @Nullable Value bias;

                @Override
                public Value toTarget(int layer, Value q, Value newK, Value newV) {
                  Value k = lengthened("key." + layer, heads(graph, newK, headShape));
                  Value v = lengthened("value." + layer, heads(graph, newV, headShape));
                  if (bias == null) {
                    bias = lastPositionBias(k);
                  }
                  return attend(heads(graph, q, headShape), k, v, bias);
                }

                @Override
                public Value toSource(int layer, Value q) {
                  Value k = cacheInput("cross_key." + layer, "source");
                  Value v = cacheInput("cross_value." + layer, "source");
                  return attend(heads(graph, q, headShape), k, v, crossMask);
                }
              });
      TokenRows.Head head = blocks.head();
      Value logits = PaddedRows.product(graph, x, head.weight(), head.scale());
      graph.output(nodes.argmax(logits), "next_token", ElementType.INT64, Dimension.of("batch"));
    }

    private Value lengthened(String name, Value added) {
      Value present = nodes.concatenate(2, cacheInput("past_" + name, "past"), added);
      cacheOutput(graph, "present_" + name, present, "present");
      return present;
    }

    private Value cacheInput(String name, String length) {
      return graph.input(name, ElementType.FLOAT32, cacheDimensions(length));
    }

    private Value attend(Value q, Value k, Value v, Value bias) {
      Value scores = nodes.add(nodes.product(q, false, k, true, 1), bias);
      Value out = nodes.product(nodes.softmax(scores), v);
      return nodes.reshape(
          ModelGraphs.headsFirst(nodes, out), nodes.vector(-1, config.innerWidth()));
    }

    /**
     * The bias row of the newest position over keys [batch, heads, length, width]: [1, heads, 1,
     * length].
     */
    private Value lastPositionBias(Value keys) {
      Value length = nodes.gather(nodes.shapeOf(keys), nodes.constant(2L));
      Value query = nodes.subtract(length, nodes.constant(1L));
      Value distance = nodes.unsqueeze(nodes.subtract(nodes.range(length), query), 0);
      return PaddedRows.byPair(graph, blocks.decoderBias(), distance, config.heads());
    }

    /** [batch, 1, 1, length] with the most negative float where the mask is 0. */
    private Value keyMask(Value mask) {
      Value hidden = nodes.subtract(nodes.constant(1f), nodes.castToFloat(mask));
      return nodes.unsqueeze(nodes.multiply(hidden, nodes.constant(PaddedRows.HIDDEN)), 1, 2);
    }
  }
}
