package io.github.recurrentkif.model;

import io.github.recurrentkif.graph.Dimension;
import io.github.recurrentkif.graph.ElementType;
import io.github.recurrentkif.graph.Graph;
import io.github.recurrentkif.graph.Nodes;
import io.github.recurrentkif.graph.Value;
import io.github.recurrentkif.graph.operators.Activation;
import io.github.recurrentkif.graph.operators.Attention;
import io.github.recurrentkif.graph.operators.BatchedBias;
import io.github.recurrentkif.graph.operators.CrossEntropy;
import io.github.recurrentkif.graph.operators.Dropout;
import io.github.recurrentkif.graph.operators.Embedding;
import io.github.recurrentkif.graph.operators.Linear;
import io.github.recurrentkif.graph.operators.LowRankUpdate;
import io.github.recurrentkif.graph.operators.Product;
import io.github.recurrentkif.graph.operators.RelativePositionBias;
import io.github.recurrentkif.graph.operators.RmsNorm;
import io.github.recurrentkif.graph.operators.Sum;
import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.memory.Shape;
import io.github.recurrentkif.model.DropoutPlace.Side;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * The forward pass of T5 (Raffel et al., 2020) over the parameter names of Hugging Face: encoder
 * and decoder of pre-normalised blocks with relative position biases and unscaled attention scores.
 *
 * <p>Activations are matrices [batch*length, width]. One instance writes one graph.
 */
final class T5 {

  /** What a hidden key adds to its score: the most negative float, as Hugging Face masks. */
  private static final float HIDDEN = -Float.MAX_VALUE;

  private final T5Config config;
  private final Trainables trainables;
  private final boolean dropout;
  private final Graph graph = new Graph();
  private final Nodes nodes = graph.nodes();
  private final List<DropoutPlace> dropoutPlaces = new ArrayList<>();
  private final Set<String> usedTargets = new HashSet<>();

  /**
   * @param dropout whether masks are applied: when training
   */
  T5(T5Config config, Trainables trainables, boolean dropout) {
    this.config = config;
    this.trainables = trainables;
    this.dropout = dropout;
  }

  /** Rows of token ids and how they lie in a batch. */
  private record Tokens(Value ids, Value batchAndLength, Side side) {}

  /** The batch, with what attention over it needs. */
  private record Encoded(Value rows, Tokens tokens, Value keyMask) {}

  /** Loss, gradients of all trainables, and the logits. */
  ModelGraph training() {
    Value inputIds = ids("input_ids", "source");
    Value mask = ids("attention_mask", "source");
    Value decoderIds = ids("decoder_input_ids", "target");
    Value labels =
        graph.input("labels", ElementType.INT64, Dimension.of("target_rows"), Dimension.of(1));
    Value weights =
        graph.input(
            "token_weights", ElementType.FLOAT32, Dimension.of("target_rows"), Dimension.of(1));
    Value logits = logits(decoder(decoderIds, encoder(inputIds, mask)));
    CrossEntropy loss = new CrossEntropy(logits, labels, weights);
    Value total = graph.apply(loss);
    checkTargets();
    graph.differentiate(total);
    graph.output(total, "loss", ElementType.FLOAT32);
    graph.output(
        logits,
        "logits",
        ElementType.FLOAT32,
        Dimension.of("target_rows"),
        Dimension.of(config.vocabularySize()));
    return new ModelGraph("training_model", graph, dropoutPlaces);
  }

  /** The encoder, and of every decoder layer the keys and values over its output. */
  ModelGraph encoderStep() {
    Encoded encoded = encoder(ids("input_ids", "source"), ids("attention_mask", "source"));
    Value headShape = headShape(encoded.tokens());
    for (int layer = 0; layer < config.decoderLayers(); layer++) {
      String attention = decoderLayer(layer, 1) + ".EncDecAttention";
      Value k = linear(encoded.rows(), attention + ".k", innerRows(), Side.SOURCE);
      Value v = linear(encoded.rows(), attention + ".v", innerRows(), Side.SOURCE);
      cacheOutput("cross_key." + layer, nodes.transpose(nodes.reshape(k, headShape), HEADS_FIRST));
      cacheOutput(
          "cross_value." + layer, nodes.transpose(nodes.reshape(v, headShape), HEADS_FIRST));
    }
    return new ModelGraph("encoder", graph, dropoutPlaces);
  }

  private void cacheOutput(String name, Value value) {
    graph.output(value, name, ElementType.FLOAT32, cacheDimensions("source"));
  }

  private Dimension[] cacheDimensions(String length) {
    return new Dimension[] {
      Dimension.of("batch"),
      Dimension.of(config.heads()),
      Dimension.of(length),
      Dimension.of(config.headWidth())
    };
  }

  private static final Long[] HEADS_FIRST = {0L, 2L, 1L, 3L};

  /**
   * One token of every row: from the token and the cached keys and values to the next token by
   * greedy choice, its logits, and the longer cache.
   */
  ModelGraph decoderStep() {
    Value token =
        graph.input("decoder_input_ids", ElementType.INT64, Dimension.of("batch"), Dimension.of(1));
    Value mask = ids("attention_mask", "source");
    Value crossMask = keyMask(mask);
    Tokens tokens = tokens(token, Side.TARGET);
    Value headShape = headShape(tokens);
    Value x = embedding(tokens);
    Value bias = null;
    for (int layer = 0; layer < config.decoderLayers(); layer++) {
      String self = decoderLayer(layer, 0);
      Value h = norm(x, self + ".layer_norm.weight");
      Value q = heads(linear(h, self + ".SelfAttention.q", innerRows(), Side.TARGET), headShape);
      Value newK = heads(linear(h, self + ".SelfAttention.k", innerRows(), Side.TARGET), headShape);
      Value newV = heads(linear(h, self + ".SelfAttention.v", innerRows(), Side.TARGET), headShape);
      Value k = nodes.concatenate(2, cacheInput("past_key." + layer, "past"), newK);
      Value v = nodes.concatenate(2, cacheInput("past_value." + layer, "past"), newV);
      if (bias == null) {
        bias = lastPositionBias(k);
      }
      Value o = joined(attend(q, k, v, bias));
      x = nodes.add(x, linear(o, self + ".SelfAttention.o", modelRows(), Side.TARGET));

      String cross = decoderLayer(layer, 1);
      h = norm(x, cross + ".layer_norm.weight");
      q = heads(linear(h, cross + ".EncDecAttention.q", innerRows(), Side.TARGET), headShape);
      Value crossK = cacheInput("cross_key." + layer, "source");
      Value crossV = cacheInput("cross_value." + layer, "source");
      o = joined(attend(q, crossK, crossV, crossMask));
      x = nodes.add(x, linear(o, cross + ".EncDecAttention.o", modelRows(), Side.TARGET));

      x = feedForward(x, decoderLayer(layer, 2), Side.TARGET);
      graph.output(k, "present_key." + layer, ElementType.FLOAT32, cacheDimensions("present"));
      graph.output(v, "present_value." + layer, ElementType.FLOAT32, cacheDimensions("present"));
    }
    Value logits = logits(norm(x, "decoder.final_layer_norm.weight"));
    graph.output(nodes.argmax(logits), "next_token", ElementType.INT64, Dimension.of("batch"));
    graph.output(
        logits,
        "logits",
        ElementType.FLOAT32,
        Dimension.of("batch"),
        Dimension.of(config.vocabularySize()));
    return new ModelGraph("decoder_step", graph, dropoutPlaces);
  }

  private Value cacheInput(String name, String length) {
    return graph.input(name, ElementType.FLOAT32, cacheDimensions(length));
  }

  private Value heads(Value rows, Value headShape) {
    return nodes.transpose(nodes.reshape(rows, headShape), HEADS_FIRST);
  }

  private Value joined(Value heads) {
    return nodes.reshape(
        nodes.transpose(heads, HEADS_FIRST), nodes.vector(-1, config.innerWidth()));
  }

  private Value attend(Value q, Value k, Value v, Value bias) {
    return nodes.product(nodes.softmax(nodes.add(nodes.product(q, false, k, true, 1), bias)), v);
  }

  /**
   * The bias row of the newest position over keys [batch, heads, length, width]: [1, heads, 1,
   * length].
   */
  private Value lastPositionBias(Value keys) {
    Value length = nodes.gather(nodes.shapeOf(keys), nodes.constant(2L));
    Value query = nodes.subtract(length, nodes.constant(1L));
    Value distance = nodes.unsqueeze(nodes.subtract(nodes.range(length), query), 0);
    return positionBias(distance, "decoder", false);
  }

  // Forward pass over whole sequences

  private Value ids(String name, String length) {
    return graph.input(name, ElementType.INT64, Dimension.of("batch"), Dimension.of(length));
  }

  private Tokens tokens(Value ids, Side side) {
    return new Tokens(nodes.reshape(ids, nodes.vector(-1)), nodes.shapeOf(ids), side);
  }

  private Encoded encoder(Value inputIds, Value mask) {
    Tokens tokens = tokens(inputIds, Side.SOURCE);
    Value headShape = headShape(tokens);
    Attention.Heads heads =
        new Attention.Heads(config.heads(), config.headWidth(), headShape, headShape);
    Value keyMask = keyMask(mask);
    Value bias =
        graph.apply(
            new BatchedBias(positionBias(distances(tokens, tokens), "encoder", true), keyMask));
    Value x = dropped(embedding(tokens), Side.SOURCE, config.modelWidth());
    for (int layer = 0; layer < config.encoderLayers(); layer++) {
      String block = "encoder.block." + layer + ".layer.";
      Value h = norm(x, block + "0.layer_norm.weight");
      x =
          residual(
              x, attention(h, h, block + "0.SelfAttention", bias, heads, tokens, tokens), tokens);
      x = feedForward(x, block + "1", Side.SOURCE);
    }
    Value rows =
        dropped(norm(x, "encoder.final_layer_norm.weight"), Side.SOURCE, config.modelWidth());
    return new Encoded(rows, tokens, keyMask);
  }

  private Value decoder(Value decoderIds, Encoded encoded) {
    Tokens tokens = tokens(decoderIds, Side.TARGET);
    Value headShape = headShape(tokens);
    Attention.Heads selfHeads =
        new Attention.Heads(config.heads(), config.headWidth(), headShape, headShape);
    Attention.Heads crossHeads =
        new Attention.Heads(
            config.heads(), config.headWidth(), headShape, headShape(encoded.tokens()));
    Value distances = distances(tokens, tokens);
    Value causal =
        nodes.where(
            nodes.greater(distances, nodes.constant(0L)),
            nodes.constant(HIDDEN),
            nodes.constant(0f));
    Value bias = graph.apply(new BatchedBias(positionBias(distances, "decoder", false), causal));
    Value x = dropped(embedding(tokens), Side.TARGET, config.modelWidth());
    for (int layer = 0; layer < config.decoderLayers(); layer++) {
      String self = decoderLayer(layer, 0);
      Value h = norm(x, self + ".layer_norm.weight");
      x =
          residual(
              x, attention(h, h, self + ".SelfAttention", bias, selfHeads, tokens, tokens), tokens);
      String cross = decoderLayer(layer, 1);
      h = norm(x, cross + ".layer_norm.weight");
      x =
          residual(
              x,
              attention(
                  h,
                  encoded.rows(),
                  cross + ".EncDecAttention",
                  encoded.keyMask(),
                  crossHeads,
                  tokens,
                  encoded.tokens()),
              tokens);
      x = feedForward(x, decoderLayer(layer, 2), Side.TARGET);
    }
    return dropped(norm(x, "decoder.final_layer_norm.weight"), Side.TARGET, config.modelWidth());
  }

  private static String decoderLayer(int layer, int part) {
    return "decoder.block." + layer + ".layer." + part;
  }

  private Value embedding(Tokens tokens) {
    return graph.apply(new Embedding(tokens.ids(), sharedEmbedding()));
  }

  private Value sharedEmbedding() {
    return parameter("shared.weight", Shape.of(config.vocabularySize(), config.modelWidth()));
  }

  private Value logits(Value rows) {
    float scale = config.scaledHead() ? (float) Math.pow(config.modelWidth(), -0.5) : 1;
    Value head =
        config.tiedHead()
            ? sharedEmbedding()
            : parameter("lm_head.weight", Shape.of(config.vocabularySize(), config.modelWidth()));
    return graph.apply(new Linear(rows, head, scale));
  }

  private Value norm(Value x, String name) {
    Value scale = parameter(name, Shape.of(config.modelWidth()));
    return graph.apply(new RmsNorm(x, scale, config.normEpsilon()));
  }

  private Value residual(Value x, Value branch, Tokens tokens) {
    return graph.apply(new Sum(x, dropped(branch, tokens.side(), config.modelWidth())));
  }

  private Value attention(
      Value queries,
      Value keys,
      String name,
      Value bias,
      Attention.Heads heads,
      Tokens queryTokens,
      Tokens keyTokens) {
    Value q = linear(queries, name + ".q", innerRows(), queryTokens.side());
    Value k = linear(keys, name + ".k", innerRows(), keyTokens.side());
    Value v = linear(keys, name + ".v", innerRows(), keyTokens.side());
    Value mask =
        dropoutMask(
            config.dropout(),
            new DropoutPlace.Pairs(config.heads(), queryTokens.side(), keyTokens.side()));
    Value o = graph.apply(new Attention(q, k, v, bias, mask, heads, 1));
    return linear(o, name + ".o", modelRows(), queryTokens.side());
  }

  private Value feedForward(Value x, String name, Side side) {
    Value h = norm(x, name + ".layer_norm.weight");
    String dense = name + ".DenseReluDense";
    Shape in = Shape.of(config.feedForwardWidth(), config.modelWidth());
    Value activated;
    if (config.gated()) {
      Value gate =
          graph.apply(new Activation(config.activation(), linear(h, dense + ".wi_0", in, side)));
      activated = graph.apply(new Product(gate, linear(h, dense + ".wi_1", in, side)));
    } else {
      activated =
          graph.apply(new Activation(config.activation(), linear(h, dense + ".wi", in, side)));
    }
    Value y =
        linear(
            dropped(activated, side, config.feedForwardWidth()),
            dense + ".wo",
            Shape.of(config.modelWidth(), config.feedForwardWidth()),
            side);
    return graph.apply(new Sum(x, dropped(y, side, config.modelWidth())));
  }

  /** A linear layer, with its adapter where it has one. */
  private Value linear(Value x, String module, Shape shape, Side side) {
    Value y = graph.apply(new Linear(x, parameter(module + ".weight", shape)));
    if (!(trainables instanceof Trainables.Adapter(LoraConfig lora)) || !lora.adapts(module)) {
      return y;
    }
    lora.targets().stream().filter(t -> module.endsWith("." + t)).forEach(usedTargets::add);
    long out = shape.dimension(0);
    long in = shape.dimension(1);
    Value mask = dropoutMask(lora.dropout(), new DropoutPlace.Rows(side, (int) in));
    Value adapted = mask == null ? x : graph.apply(new Dropout(x, mask));
    Value a = graph.trainable(module + ".lora_A.weight", Shape.of(lora.rank(), in));
    Value b = graph.trainable(module + ".lora_B.weight", Shape.of(out, lora.rank()));
    return graph.apply(new LowRankUpdate(y, adapted, a, b, lora.scale()));
  }

  private Shape innerRows() {
    return Shape.of(config.innerWidth(), config.modelWidth());
  }

  private Shape modelRows() {
    return Shape.of(config.modelWidth(), config.innerWidth());
  }

  private Value parameter(String name, Shape shape) {
    return trainables instanceof Trainables.EveryWeight
        ? graph.trainable(name, shape)
        : graph.frozen(name, shape);
  }

  private void checkTargets() {
    if (trainables instanceof Trainables.Adapter(LoraConfig lora)) {
      for (String target : lora.targets()) {
        if (!usedTargets.contains(target)) {
          throw new InputException(
              "the adapter's target module '"
                  + target
                  + "' names no linear layer of this T5; it has q, k, v, o"
                  + (config.gated() ? ", wi_0, wi_1, wo" : ", wi, wo"));
        }
      }
    }
  }

  // Dropout

  private Value dropped(Value x, Side side, int width) {
    Value mask = dropoutMask(config.dropout(), new DropoutPlace.Rows(side, width));
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

  private static Dimension lengthOf(Side side) {
    return Dimension.of(side == Side.SOURCE ? "source" : "target");
  }

  // Masks, positions, shapes: nothing to differentiate

  /** [batch, 1, 1, length] with {@link #HIDDEN} where the mask is 0. */
  private Value keyMask(Value mask) {
    Value hidden = nodes.subtract(nodes.constant(1f), nodes.castToFloat(mask));
    return nodes.unsqueeze(nodes.multiply(hidden, nodes.constant(HIDDEN)), 1, 2);
  }

  /** The vector [batch, length, heads, width]. */
  private Value headShape(Tokens tokens) {
    return nodes.concatenate(
        0, tokens.batchAndLength(), nodes.vector(config.heads(), config.headWidth()));
  }

  /** Key position minus query position, [queries, keys]. */
  private Value distances(Tokens queries, Tokens keys) {
    Value queryPositions = nodes.range(nodes.gather(queries.batchAndLength(), nodes.constant(1L)));
    Value keyPositions = nodes.range(nodes.gather(keys.batchAndLength(), nodes.constant(1L)));
    return nodes.subtract(nodes.unsqueeze(keyPositions, 0), nodes.unsqueeze(queryPositions, 1));
  }

  private Value positionBias(Value distances, String stack, boolean bidirectional) {
    long reach = config.maximumDistance();
    Value index =
        nodes.add(
            nodes.clip(distances, nodes.constant(-reach), nodes.constant(reach)),
            nodes.constant(reach));
    long[] table =
        RelativePositions.bucketsByDistance(
            config.buckets(), config.maximumDistance(), bidirectional);
    Value buckets = nodes.gather(nodes.vector(table), index);
    Value bias =
        parameter(
            stack + ".block.0.layer.0.SelfAttention.relative_attention_bias.weight",
            Shape.of(config.buckets(), config.heads()));
    return graph.apply(new RelativePositionBias(bias, buckets, config.buckets(), config.heads()));
  }
}
