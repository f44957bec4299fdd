package io.github.recurrentkif.model;

import io.github.recurrentkif.graph.Graph;
import io.github.recurrentkif.graph.Value;
import io.github.recurrentkif.graph.operators.Activation;
import io.github.recurrentkif.graph.operators.Beside;
import io.github.recurrentkif.graph.operators.HeadProduct;
import io.github.recurrentkif.graph.operators.Linear;
import io.github.recurrentkif.graph.operators.WideHeadProduct;
import io.github.recurrentkif.graph.operators.WiderHeads;
import io.github.recurrentkif.memory.Shape;
import io.github.recurrentkif.model.DropoutPlace.Side;

/**
 * The blocks of T5 (Raffel et al., 2020) over the parameter names of Hugging Face: encoder and
 * decoder of pre-normalised blocks with relative position biases and unscaled attention scores.
 */
final class T5Blocks {

  private final T5Config config;
  private final Graph graph;
  private final TokenRows rows;
  private final Layers layers;

  T5Blocks(T5Config config, Trainables trainables, Graph graph, TokenRows rows) {
    this.config = config;
    this.graph = graph;
    this.rows = rows;
    this.layers = new Layers(graph, trainables, rows);
  }

  // Forward pass over whole sequences

  /** The rows of the source, encoded. */
  Value encoder() {
    return encoder(layers.embeddedText(rows.ids(Side.SOURCE), embeddings()));
  }

  /** The same by a pool of prompts as it was before. */
  Value encoderBefore() {
    return encoder(layers.embeddedTextBefore(rows.ids(Side.SOURCE), embeddings()));
  }

  private Value encoder(Value text) {
    TokenRows.Attending attending = attending(Side.SOURCE, Side.SOURCE, false);
    Value bias = rows.positionBias(distanceBias("encoder", true), attending);
    Value x = dropped(text, Side.SOURCE);
    for (int layer = 0; layer < config.encoderLayers(); layer++) {
      String block = "encoder.block." + layer + ".layer.";
      Value h = norm(x, block + "0.layer_norm.weight");
      String self = block + "0.SelfAttention";
      Value q = queries(h, self, Side.SOURCE);
      Value k = keys(h, self, Side.SOURCE);
      Value v = values(h, self, Side.SOURCE);
      Value o = rows.attention(q, k, v, bias, attending);
      x = attended(x, o, self, Side.SOURCE);
      x = feedForward(x, block + "1", Side.SOURCE);
    }
    return dropped(norm(x, "encoder.final_layer_norm.weight"), Side.SOURCE);
  }

  /** How a layer of the decoder attends: q, k and v [target rows, heads*width], result as q. */
  interface DecoderAttention {

    Value toTarget(int layer, Value q, Value k, Value v);

    Value toSource(int layer, Value q);
  }

  /**
   * The rows of the target, ready for the head, over the rows of the encoded source.
   *
   * @param asking whether the encoded rows are asked as they are, see {@link #askEncoded}
   */
  Value decoder(Value encoded, boolean asking) {
    TokenRows.Attending looking = lookingBack();
    TokenRows.Attending crossing = crossing();
    Value bias = rows.positionBias(decoderBias(), looking);
    return decoder(
        rows.ids(Side.TARGET),
        new DecoderAttention() {
          @Override
          public Value toTarget(int layer, Value q, Value k, Value v) {
            return rows.attention(q, k, v, bias, looking);
          }

          @Override
          public Value toSource(int layer, Value q) {
            if (asking) {
              return askEncoded(q, encoded, layer);
            }
            String cross = crossAttention(layer);
            Value k = keys(encoded, cross, Side.SOURCE);
            Value v = values(encoded, cross, Side.SOURCE);
            return rows.attention(q, k, v, null, crossing);
          }
        });
  }

  /** The rows of the target, ready for the head. */
  Value decoder(Value ids, DecoderAttention attention) {
    Value x = dropped(layers.embedded(ids, embeddings()), Side.TARGET);
    for (int layer = 0; layer < config.decoderLayers(); layer++) {
      String self = selfAttention(layer);
      Value h = norm(x, decoderLayer(layer, 0) + ".layer_norm.weight");
      Value q = queries(h, self, Side.TARGET);
      Value k = keys(h, self, Side.TARGET);
      Value v = values(h, self, Side.TARGET);
      Value o = attention.toTarget(layer, q, k, v);
      x = attended(x, o, self, Side.TARGET);

      String cross = crossAttention(layer);
      h = norm(x, decoderLayer(layer, 1) + ".layer_norm.weight");
      o = attention.toSource(layer, queries(h, cross, Side.TARGET));
      x = attended(x, o, cross, Side.TARGET);
      x = feedForward(x, decoderLayer(layer, 2), Side.TARGET);
    }
    return dropped(norm(x, "decoder.final_layer_norm.weight"), Side.TARGET);
  }

  TokenRows.Attending lookingBack() {
    return attending(Side.TARGET, Side.TARGET, true);
  }

  TokenRows.Attending crossing() {
    return attending(Side.TARGET, Side.SOURCE, false);
  }

  private TokenRows.Attending attending(Side queries, Side keys, boolean causal) {
    return new TokenRows.Attending(
        queries,
        keys,
        config.heads(),
        config.heads(),
        config.headWidth(),
        causal,
        1,
        config.dropout());
  }

  /**
   * The attention of a decoder layer to encoded rows, without keys and values of them: these would
   * be one seventh of what encoding costs, and read anew for every token. Asking costs as much for
   * each target row as heads * model width / head width of them would for each source row.
   */
  Value askEncoded(Value q, Value encoded, int layer) {
    String cross = crossAttention(layer);
    int width = config.modelWidth();
    HeadProduct.Heads heads = new HeadProduct.Heads(config.heads(), config.headWidth(), width);
    Value asked = layers.headProduct(q, cross + ".k", heads, HeadProduct.Into.DEPTH);
    Value dropped = layers.adapterInput(encoded, cross + ".v", width, Side.SOURCE);
    HeadProduct.Adapter adapter = layers.headAdapter(cross + ".v", heads);
    if (adapter == null || dropped == encoded) {
      Value mixed = rows.attention(asked, encoded, encoded, null, asking(width));
      return layers.headProduct(mixed, cross + ".v", heads, HeadProduct.Into.WIDTH);
    }
    // W x + B A drop(x) = [W | B] [x | A drop(x)]: rows asked for x alone, but mixed as a whole.
    int rank = adapter.rank();
    Value low = graph.apply(new Linear(dropped, adapter.a(), adapter.scale()));
    Value both = graph.apply(new Beside(encoded, width, low, rank));
    Value wider = graph.apply(new WiderHeads(asked, config.heads(), width, rank));
    Value mixed = rows.attention(wider, both, both, null, asking(width + rank));
    Value weight = layers.headWeight(cross + ".v", heads);
    return graph.apply(new WideHeadProduct(mixed, weight, adapter.b(), rank, heads));
  }

  private TokenRows.Attending asking(int width) {
    return new TokenRows.Attending(
        Side.TARGET, Side.SOURCE, config.heads(), 1, width, false, 1, config.dropout());
  }

  // Parts

  static String decoderLayer(int layer, int part) {
    return "decoder.block." + layer + ".layer." + part;
  }

  static String selfAttention(int decoderLayer) {
    return decoderLayer(decoderLayer, 0) + ".SelfAttention";
  }

  static String crossAttention(int decoderLayer) {
    return decoderLayer(decoderLayer, 1) + ".EncDecAttention";
  }

  private Layers.Embeddings embeddings() {
    return new Layers.Embeddings(
        config.embeddingName(), config.vocabularySize(), config.modelWidth());
  }

  TokenRows.Head head() {
    Value weight =
        config.tiedHead()
            ? layers.table(embeddings())
            : layers.matrix("lm_head.weight", config.vocabularySize(), config.modelWidth());
    float scale = config.scaledHead() ? (float) Math.pow(config.modelWidth(), -0.5) : 1;
    return new TokenRows.Head(weight, config.vocabularySize(), scale);
  }

  TokenRows.DistanceBias decoderBias() {
    return distanceBias("decoder", false);
  }

  private TokenRows.DistanceBias distanceBias(String stack, boolean bidirectional) {
    return new TokenRows.DistanceBias(
        layers.parameter(
            stack + ".block.0.layer.0.SelfAttention.relative_attention_bias.weight",
            Shape.of(config.buckets(), config.heads())),
        config.buckets(),
        RelativePositions.bucketsByDistance(
            config.buckets(), config.maximumDistance(), bidirectional));
  }

  Value norm(Value x, String name) {
    return layers.norm(x, name, config.modelWidth(), config.normEpsilon());
  }

  private Value queries(Value h, String attention, Side side) {
    return layers.linear(h, attention + ".q", config.innerWidth(), config.modelWidth(), side);
  }

  Value keys(Value h, String attention, Side side) {
    return layers.linear(h, attention + ".k", config.innerWidth(), config.modelWidth(), side);
  }

  Value values(Value h, String attention, Side side) {
    return layers.linear(h, attention + ".v", config.innerWidth(), config.modelWidth(), side);
  }

  /** x with the output of an attention added. */
  private Value attended(Value x, Value o, String attention, Side side) {
    return layers.residual(
        x,
        o,
        attention + ".o",
        config.modelWidth(),
        config.innerWidth(),
        side,
        false,
        config.dropout());
  }

  /** x with the output of its feed-forward layer added. */
  private Value feedForward(Value x, String name, Side side) {
    Value h = norm(x, name + ".layer_norm.weight");
    String dense = name + ".DenseReluDense";
    int wide = config.feedForwardWidth();
    int width = config.modelWidth();
    if (!config.gated() && config.activation() == Activation.Function.RELU) {
      return layers.feedForward(
          x, h, dense + ".wi", dense + ".wo", wide, width, side, config.dropout());
    }
    Value activated =
        config.gated()
            ? rows.gated(
                config.activation(),
                layers.linear(h, dense + ".wi_0", wide, width, side),
                layers.linear(h, dense + ".wi_1", wide, width, side))
            : graph.apply(
                new Activation(
                    config.activation(), layers.linear(h, dense + ".wi", wide, width, side)));
    Value kept = rows.dropped(activated, side, wide, config.dropout());
    return layers.residual(x, kept, dense + ".wo", width, wide, side, false, config.dropout());
  }

  private Value dropped(Value x, Side side) {
    return rows.dropped(x, side, config.modelWidth(), config.dropout());
  }

  void requireTargetsMet() {
    layers.requireTargetsMet(
        "T5", "q, k, v, o" + (config.gated() ? ", wi_0, wi_1, wo" : ", wi, wo"));
  }
}
