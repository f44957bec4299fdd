package io.github.recurrentkif.model;

import io.github.recurrentkif.graph.Dimension;
import io.github.recurrentkif.graph.ElementType;
import io.github.recurrentkif.graph.Graph;
import io.github.recurrentkif.graph.Nodes;
import io.github.recurrentkif.graph.Value;
import io.github.recurrentkif.graph.operators.Linear;
import io.github.recurrentkif.model.DropoutPlace.Side;
import java.util.List;

/** The graphs of a T5. */
final class T5Graphs implements ModelGraphs {

  private final T5Config config;
  private final Trainables trainables;

  T5Graphs(T5Config config, Trainables trainables) {
    this.config = config;
    this.trainables = trainables;
  }

  @Override
  public void learn(Graph graph, TokenRows rows) {
    T5Blocks blocks = new T5Blocks(config, trainables, graph, rows);
    Value decoded = blocks.decoder(blocks.encoder());
    blocks.requireTargetsMet();
    rows.learn(decoded, blocks.head(), false);
  }

  @Override
  public List<ModelGraph> decoding() {
    return List.of(encoderStep(), decoderStep());
  }

  /** The encoder, and of every decoder layer the keys and values over its output. */
  private ModelGraph encoderStep() {
    Graph graph = new Graph();
    PaddedRows rows = new PaddedRows(graph, false);
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
   * greedy choice, its logits, and the longer cache.
   */
  private ModelGraph decoderStep() {
    Graph graph = new Graph();
    PaddedRows rows = new PaddedRows(graph, false);
    T5Blocks blocks = new T5Blocks(config, trainables, graph, rows);
    new DecoderStep(graph, graph.nodes(), blocks).write();
    return new ModelGraph("decoder_step", graph, rows.dropoutPlaces());
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
      Value x = blocks.embedding(nodes.reshape(token, nodes.vector(-1)));
      Value bias = null;
      for (int layer = 0; layer < config.decoderLayers(); layer++) {
        String self = T5Blocks.selfAttention(layer);
        Value h = blocks.norm(x, T5Blocks.decoderLayer(layer, 0) + ".layer_norm.weight");
        Value q = heads(graph, blocks.queries(h, self, Side.TARGET), headShape);
        Value newK = heads(graph, blocks.keys(h, self, Side.TARGET), headShape);
        Value newV = heads(graph, blocks.values(h, self, Side.TARGET), headShape);
        Value k = nodes.concatenate(2, cacheInput("past_key." + layer, "past"), newK);
        Value v = nodes.concatenate(2, cacheInput("past_value." + layer, "past"), newV);
        if (bias == null) {
          bias = lastPositionBias(k);
        }
        x = nodes.add(x, blocks.attended(attend(q, k, v, bias), self, Side.TARGET));

        String cross = T5Blocks.crossAttention(layer);
        h = blocks.norm(x, T5Blocks.decoderLayer(layer, 1) + ".layer_norm.weight");
        q = heads(graph, blocks.queries(h, cross, Side.TARGET), headShape);
        Value crossK = cacheInput("cross_key." + layer, "source");
        Value crossV = cacheInput("cross_value." + layer, "source");
        x = nodes.add(x, blocks.attended(attend(q, crossK, crossV, crossMask), cross, Side.TARGET));

        x = blocks.feedForward(x, T5Blocks.decoderLayer(layer, 2), Side.TARGET);
        cacheOutput(graph, "present_key." + layer, k, "present");
        cacheOutput(graph, "present_value." + layer, v, "present");
      }
      Value last = blocks.norm(x, "decoder.final_layer_norm.weight");
      TokenRows.Head head = blocks.head();
      Value logits = graph.apply(new Linear(last, head.weight(), head.scale()));
      graph.output(nodes.argmax(logits), "next_token", ElementType.INT64, Dimension.of("batch"));
      graph.output(
          logits,
          "logits",
          ElementType.FLOAT32,
          Dimension.of("batch"),
          Dimension.of(head.vocabulary()));
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
