package io.github.recurrentkif.model;

import io.github.recurrentkif.graph.Dimension;
import io.github.recurrentkif.graph.ElementType;
import io.github.recurrentkif.graph.Graph;
import io.github.recurrentkif.graph.Nodes;
import io.github.recurrentkif.graph.Value;
import io.github.recurrentkif.graph.operators.Activation;
import io.github.recurrentkif.graph.operators.Attention;
import io.github.recurrentkif.graph.operators.BiasAddition;
import io.github.recurrentkif.graph.operators.CrossEntropy;
import io.github.recurrentkif.graph.operators.Dropout;
import io.github.recurrentkif.graph.operators.Embedding;
import io.github.recurrentkif.graph.operators.Linear;
import io.github.recurrentkif.graph.operators.LowRankUpdate;
import io.github.recurrentkif.graph.operators.Product;
import io.github.recurrentkif.graph.operators.Reshaping;
import io.github.recurrentkif.graph.operators.RmsNorm;
import io.github.recurrentkif.graph.operators.RotaryEmbedding;
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
 * The forward pass of LLaMA (Touvron et al., 2023), Qwen2 and Qwen3 over the parameter names of
 * Hugging Face.
 *
 * <p>Activations are matrices [batch*length, width]. Which position a token has is up to the
 * caller, who gives the cosines and sines of its angles ({@link RotaryAngles}): the graphs know
 * neither the frequencies nor a longest text. One instance writes one graph.
 */
final class Llama {

  /** What a hidden key adds to its score: the most negative float, as Hugging Face masks. */
  private static final float HIDDEN = -Float.MAX_VALUE;

  private static final Long[] HEADS_FIRST = {0L, 2L, 1L, 3L};

  private final LlamaConfig config;
  private final Trainables trainables;
  private final boolean dropout;
  private final Graph graph = new Graph();
  private final Nodes nodes = graph.nodes();
  private final List<DropoutPlace> dropoutPlaces = new ArrayList<>();
  private final Set<String> usedTargets = new HashSet<>();

  /**
   * @param dropout whether masks are applied: when training
   */
  Llama(LlamaConfig config, Trainables trainables, boolean dropout) {
    this.config = config;
    this.trainables = trainables;
    this.dropout = dropout;
  }

  /** What all layers share of a batch. */
  private record Tokens(
      Value batchAndLength, RotaryEmbedding.Angles angles, Value queryShape, Value keyShape) {}

  /** How a layer attends: q [rows, heads*width], k and v [rows, keyHeads*width], result as q. */
  @FunctionalInterface
  private interface Attending {
    Value attend(int layer, Value q, Value k, Value v);
  }

  /**
   * Loss, gradients of all trainables, and logits, these only of the rows that are asked for: the
   * head is by far the widest layer, and most tokens of a prompt teach nothing.
   */
  ModelGraph training() {
    Value ids = ids("input_ids", "source");
    Value mask = ids("attention_mask", "source");
    Tokens tokens = tokens(ids, "source");
    Value rows = graph.input("logit_rows", ElementType.INT64, Dimension.of("labelled"));
    Value labels =
        graph.input("labels", ElementType.INT64, Dimension.of("labelled"), Dimension.of(1));
    Value weights =
        graph.input(
            "token_weights", ElementType.FLOAT32, Dimension.of("labelled"), Dimension.of(1));
    Value bias = hidden(mask, nodes.constant(0L), tokens);
    Attention.Heads heads =
        new Attention.Heads(
            config.heads(),
            config.keyHeads(),
            config.headWidth(),
            tokens.queryShape(),
            tokens.keyShape());
    Value x =
        layers(
            ids,
            tokens,
            (_, q, k, v) -> {
              Value dropped =
                  dropoutMask(
                      config.attentionDropout(),
                      new DropoutPlace.Pairs(config.heads(), Side.SOURCE, Side.SOURCE));
              return graph.apply(new Attention(q, k, v, bias, dropped, heads, scale()));
            });
    Value logits = logits(graph.apply(new Embedding(rows, x)));
    CrossEntropy loss = new CrossEntropy(logits, labels, weights);
    Value total = graph.apply(loss);
    checkTargets();
    graph.differentiate(total);
    graph.output(total, "loss", ElementType.FLOAT32);
    outputLogits(logits, "labelled");
    return new ModelGraph("training_model", graph, dropoutPlaces);
  }

  /**
   * Some tokens of every row, after those whose keys and values are cached: to the next token by
   * greedy choice, its logits, and the longer cache. Cached are the prompt, which stays where it
   * is, and behind it what came since, which is copied to grow. With both empty this is the pass
   * over the prompt.
   */
  ModelGraph decoderStep() {
    Value ids = ids("input_ids", "query");
    Value mask = ids("attention_mask", "present");
    Tokens tokens = tokens(ids, "query");
    Value total = nodes.gather(nodes.shapeOf(mask), nodes.constant(1L));
    Value length = nodes.gather(tokens.batchAndLength(), nodes.constant(1L));
    Value bias = hidden(mask, nodes.subtract(total, length), tokens);
    Value x =
        layers(
            ids,
            tokens,
            (layer, q, k, v) -> {
              Cached keys = cached("key." + layer, k, tokens);
              Cached values = cached("value." + layer, v, tokens);
              return attendCached(q, keys, values, bias, tokens);
            });
    Value perRow =
        nodes.reshape(
            x, nodes.concatenate(0, tokens.batchAndLength(), nodes.vector(config.modelWidth())));
    Value last = nodes.gatherAlong(1, perRow, nodes.constant(-1L));
    Value logits = logits(last);
    graph.output(nodes.argmax(logits), "next_token", ElementType.INT64, Dimension.of("batch"));
    outputLogits(logits, "batch");
    return new ModelGraph("decoder_step", graph, dropoutPlaces);
  }

  private void outputLogits(Value logits, String rows) {
    graph.output(
        logits,
        "logits",
        ElementType.FLOAT32,
        Dimension.of(rows),
        Dimension.of(config.vocabularySize()));
  }

  /** Keys or values [batch, keyHeads, length, width], in two parts. */
  private record Cached(Value prompt, Value since) {}

  private Cached cached(String name, Value rows, Tokens tokens) {
    Value added = nodes.transpose(nodes.reshape(rows, tokens.keyShape()), HEADS_FIRST);
    Value prompt = graph.input("prompt_" + name, ElementType.FLOAT32, cacheDimensions("prompt"));
    Value past = graph.input("past_" + name, ElementType.FLOAT32, cacheDimensions("past"));
    Value since = nodes.concatenate(2, past, added);
    graph.output(since, "present_" + name, ElementType.FLOAT32, cacheDimensions("since_prompt"));
    return new Cached(prompt, since);
  }

  private Dimension[] cacheDimensions(String length) {
    return new Dimension[] {
      Dimension.of("batch"),
      Dimension.of(config.keyHeads()),
      Dimension.of(length),
      Dimension.of(config.headWidth())
    };
  }

  /** Heads that share keys lie below each other, as in {@link Attention}. */
  private Value attendCached(Value q, Cached keys, Cached values, Value bias, Tokens tokens) {
    Value heads = nodes.transpose(nodes.reshape(q, tokens.queryShape()), HEADS_FIRST);
    Value grouped =
        nodes.reshape(heads, nodes.vector(0, config.keyHeads(), -1, config.headWidth()));
    Value scores =
        nodes.concatenate(
            3,
            nodes.product(grouped, false, keys.prompt(), true, scale()),
            nodes.product(grouped, false, keys.since(), true, scale()));
    Value groupedShape = nodes.shapeOf(scores);
    Value batch = nodes.gather(tokens.batchAndLength(), nodes.vector(0));
    Value length = nodes.gather(tokens.batchAndLength(), nodes.vector(1));
    Value apart =
        nodes.reshape(
            scores,
            nodes.concatenate(0, batch, nodes.vector(config.heads()), length, nodes.vector(-1)));
    Value probabilities = nodes.reshape(nodes.softmax(nodes.add(apart, bias)), groupedShape);
    Value two = nodes.vector(2);
    List<Value> parts =
        nodes.split(
            3,
            probabilities,
            nodes.concatenate(
                0,
                nodes.gather(nodes.shapeOf(values.prompt()), two),
                nodes.gather(nodes.shapeOf(values.since()), two)));
    Value out =
        nodes.add(
            nodes.product(parts.getFirst(), values.prompt()),
            nodes.product(parts.getLast(), values.since()));
    Value ungrouped = nodes.reshape(out, nodes.vector(0, config.heads(), -1, config.headWidth()));
    return nodes.reshape(nodes.transpose(ungrouped, HEADS_FIRST), nodes.vector(-1, innerWidth()));
  }

  // Forward pass

  private Value ids(String name, String length) {
    return graph.input(name, ElementType.INT64, Dimension.of("batch"), Dimension.of(length));
  }

  private Tokens tokens(Value ids, String length) {
    Value batchAndLength = nodes.shapeOf(ids);
    RotaryEmbedding.Angles angles =
        RotaryEmbedding.Angles.of(nodes, angles("cosine", length), angles("sine", length));
    return new Tokens(
        batchAndLength,
        angles,
        nodes.concatenate(0, batchAndLength, nodes.vector(config.heads(), config.headWidth())),
        nodes.concatenate(0, batchAndLength, nodes.vector(config.keyHeads(), config.headWidth())));
  }

  /** One row for all where they have the same positions. */
  private Value angles(String name, String length) {
    return graph.input(
        name,
        ElementType.FLOAT32,
        Dimension.of("position_rows"),
        Dimension.of(length),
        Dimension.of(1),
        Dimension.of(1),
        Dimension.of(config.headWidth() / 2));
  }

  private Value layers(Value ids, Tokens tokens, Attending attending) {
    Value flat = nodes.reshape(ids, nodes.vector(-1));
    Value x = graph.apply(new Embedding(flat, embedding()));
    for (int layer = 0; layer < config.layers(); layer++) {
      String block = "model.layers." + layer;
      Value h = norm(x, block + ".input_layernorm.weight", config.modelWidth());
      x = graph.apply(new Sum(x, attention(h, layer, block + ".self_attn", tokens, attending)));
      h = norm(x, block + ".post_attention_layernorm.weight", config.modelWidth());
      x = graph.apply(new Sum(x, feedForward(h, block + ".mlp")));
    }
    return norm(x, "model.norm.weight", config.modelWidth());
  }

  private Value attention(Value h, int layer, String name, Tokens tokens, Attending attending) {
    boolean biased = config.projections().queryKeyValue();
    Value q = linear(h, name + ".q_proj", innerWidth(), config.modelWidth(), biased);
    Value k = linear(h, name + ".k_proj", keyWidth(), config.modelWidth(), biased);
    Value v = linear(h, name + ".v_proj", keyWidth(), config.modelWidth(), biased);
    if (config.headNorms()) {
      q = headNorm(q, name + ".q_norm.weight", innerWidth());
      k = headNorm(k, name + ".k_norm.weight", keyWidth());
    }
    q = turned(q, config.heads(), tokens);
    k = turned(k, config.keyHeads(), tokens);
    return linear(
        attending.attend(layer, q, k, v),
        name + ".o_proj",
        config.modelWidth(),
        innerWidth(),
        config.projections().output());
  }

  private Value turned(Value x, int heads, Tokens tokens) {
    return graph.apply(
        new RotaryEmbedding(
            x, tokens.angles(), heads, config.headWidth(), tokens.batchAndLength()));
  }

  private Value headNorm(Value x, String name, long width) {
    Value heads = graph.apply(new Reshaping(x, nodes.vector(-1, config.headWidth())));
    return graph.apply(
        new Reshaping(norm(heads, name, config.headWidth()), nodes.vector(-1, width)));
  }

  private Value feedForward(Value h, String name) {
    boolean biased = config.projections().feedForward();
    Value gate =
        linear(h, name + ".gate_proj", config.feedForwardWidth(), config.modelWidth(), biased);
    Value up = linear(h, name + ".up_proj", config.feedForwardWidth(), config.modelWidth(), biased);
    Value activated = graph.apply(new Activation(Activation.Function.SILU, gate));
    return linear(
        graph.apply(new Product(activated, up)),
        name + ".down_proj",
        config.modelWidth(),
        config.feedForwardWidth(),
        biased);
  }

  private Value embedding() {
    return parameter(
        config.embeddingName(), Shape.of(config.vocabularySize(), config.modelWidth()));
  }

  private Value logits(Value rows) {
    Value head =
        config.tiedHead()
            ? embedding()
            : parameter("lm_head.weight", Shape.of(config.vocabularySize(), config.modelWidth()));
    return graph.apply(new Linear(rows, head));
  }

  private Value norm(Value x, String name, int width) {
    return graph.apply(new RmsNorm(x, parameter(name, Shape.of(width)), config.normEpsilon()));
  }

  /** A linear layer, with its bias and its adapter where it has them. */
  private Value linear(Value x, String module, long out, long in, boolean biased) {
    Value y = graph.apply(new Linear(x, parameter(module + ".weight", Shape.of(out, in))));
    if (biased) {
      y = graph.apply(new BiasAddition(y, parameter(module + ".bias", Shape.of(out))));
    }
    if (!(trainables instanceof Trainables.Adapter(LoraConfig lora)) || !lora.adapts(module)) {
      return y;
    }
    lora.targets().stream().filter(t -> module.endsWith("." + t)).forEach(usedTargets::add);
    Value mask = dropoutMask(lora.dropout(), new DropoutPlace.Rows(Side.SOURCE, (int) in));
    Value adapted = mask == null ? x : graph.apply(new Dropout(x, mask));
    Value a = graph.trainable(module + ".lora_A.weight", Shape.of(lora.rank(), in));
    Value b = graph.trainable(module + ".lora_B.weight", Shape.of(out, lora.rank()));
    return graph.apply(new LowRankUpdate(y, adapted, a, b, lora.scale()));
  }

  private Value parameter(String name, Shape shape) {
    return trainables instanceof Trainables.EveryWeight
        ? graph.trainable(name, shape)
        : graph.frozen(name, shape);
  }

  private int innerWidth() {
    return config.heads() * config.headWidth();
  }

  private int keyWidth() {
    return config.keyHeads() * config.headWidth();
  }

  private float scale() {
    return (float) (1 / Math.sqrt(config.headWidth()));
  }

  private void checkTargets() {
    if (trainables instanceof Trainables.Adapter(LoraConfig lora)) {
      for (String target : lora.targets()) {
        if (!usedTargets.contains(target)) {
          throw new InputException(
              "the adapter's target module '"
                  + target
                  + "' names no linear layer of this "
                  + config.modelType()
                  + "; it has q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj");
        }
      }
    }
  }

  // Masks: nothing to differentiate

  /**
   * [batch, 1, queries, keys] with {@link #HIDDEN} where the key is padding or comes after the
   * query. One number for both, since the sum of two would be infinite.
   *
   * @param before scalar: keys before the first query
   */
  private Value hidden(Value mask, Value before, Tokens tokens) {
    Value length = nodes.gather(tokens.batchAndLength(), nodes.constant(1L));
    Value queries = nodes.add(nodes.range(length), before);
    Value keys = nodes.range(nodes.add(length, before));
    Value ahead =
        nodes.castToFloat(nodes.greater(nodes.unsqueeze(keys, 0), nodes.unsqueeze(queries, 1)));
    Value padded = nodes.subtract(nodes.constant(1f), nodes.castToFloat(mask));
    Value either = nodes.maximum(ahead, nodes.unsqueeze(padded, 1, 2));
    return nodes.multiply(either, nodes.constant(HIDDEN));
  }

  private @Nullable Value dropoutMask(double probability, DropoutPlace.Extent extent) {
    if (!dropout || probability == 0) {
      return null;
    }
    int index = dropoutPlaces.size();
    String name = "dropout." + index;
    dropoutPlaces.add(new DropoutPlace(index, name, probability, extent));
    Dimension length = Dimension.of("source");
    return switch (extent) {
      case DropoutPlace.Rows rows ->
          graph.input(
              name, ElementType.FLOAT32, Dimension.of("batch"), length, Dimension.of(rows.width()));
      case DropoutPlace.Pairs _ ->
          graph.input(name, ElementType.FLOAT32, Dimension.of("batch_heads"), length, length);
    };
  }
}
