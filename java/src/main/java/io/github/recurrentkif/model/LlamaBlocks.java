package io.github.recurrentkif.model;

import io.github.recurrentkif.graph.Graph;
import io.github.recurrentkif.graph.Value;
import io.github.recurrentkif.graph.operators.Activation;
import io.github.recurrentkif.graph.operators.Reshaping;
import io.github.recurrentkif.model.DropoutPlace.Side;
import java.util.function.UnaryOperator;

/**
 * The blocks of LLaMA (Touvron et al., 2023), Qwen2 and Qwen3 over the parameter names of Hugging
 * Face.
 */
final class LlamaBlocks {

  private final LlamaConfig config;
  private final Graph graph;
  private final TokenRows rows;
  private final Layers layers;

  LlamaBlocks(LlamaConfig config, Trainables trainables, Graph graph, TokenRows rows) {
    this.config = config;
    this.graph = graph;
    this.rows = rows;
    this.layers = new Layers(graph, trainables, rows);
  }

  /** How a layer attends: q [rows, heads*width], k and v [rows, keyHeads*width], result as q. */
  @FunctionalInterface
  interface Attending {
    Value attend(int layer, Value q, Value k, Value v);
  }

  /** How heads [rows, heads*width] turn by the angles of their positions. */
  @FunctionalInterface
  interface Turning {
    Value turn(Value x, int heads);
  }

  /**
   * Which rows the last layer is asked for: only their keys and values are needed of the others.
   *
   * @param turning of queries of these rows
   * @param attending with queries of these rows
   */
  record Asked(UnaryOperator<Value> rows, Turning turning, Attending attending) {}

  /** What token ids mean, one for each row. */
  Value text(Value ids) {
    return layers.embeddedText(ids, embeddings());
  }

  /** The same to a pool of prompts as it was before. */
  Value textBefore(Value ids) {
    return layers.embeddedTextBefore(ids, embeddings());
  }

  /** From a text to rows that are ready for the head. */
  Value forward(Value text, Turning turning, Attending attending) {
    return forward(text, turning, attending, new Asked(rows -> rows, turning, attending));
  }

  /** The same for the rows that are asked for. */
  Value forward(Value text, Turning turning, Attending attending, Asked asked) {
    Asked all = new Asked(rows -> rows, turning, attending);
    Value x = text;
    for (int layer = 0; layer < config.layers(); layer++) {
      String block = "model.layers." + layer;
      Asked here = layer == config.layers() - 1 ? asked : all;
      Value h = norm(x, block + ".input_layernorm.weight", config.modelWidth());
      x = attention(here.rows().apply(x), h, layer, block + ".self_attn", turning, here);
      h = norm(x, block + ".post_attention_layernorm.weight", config.modelWidth());
      x = feedForward(x, h, block + ".mlp");
    }
    return norm(x, "model.norm.weight", config.modelWidth());
  }

  /** x with the output of its attention added. */
  private Value attention(Value x, Value h, int layer, String name, Turning turning, Asked asked) {
    boolean biased = config.projections().queryKeyValue();
    Value q =
        linear(asked.rows().apply(h), name + ".q_proj", innerWidth(), config.modelWidth(), biased);
    Value k = linear(h, name + ".k_proj", keyWidth(), config.modelWidth(), biased);
    Value v = linear(h, name + ".v_proj", keyWidth(), config.modelWidth(), biased);
    if (config.headNorms()) {
      q = headNorm(q, name + ".q_norm.weight", innerWidth());
      k = headNorm(k, name + ".k_norm.weight", keyWidth());
    }
    q = asked.turning().turn(q, config.heads());
    k = turning.turn(k, config.keyHeads());
    return layers.residual(
        x,
        asked.attending().attend(layer, q, k, v),
        name + ".o_proj",
        config.modelWidth(),
        innerWidth(),
        Side.SOURCE,
        config.projections().output(),
        0);
  }

  private Value headNorm(Value x, String name, long width) {
    Value heads = graph.apply(new Reshaping(x, graph.nodes().vector(-1, config.headWidth())));
    return graph.apply(
        new Reshaping(norm(heads, name, config.headWidth()), graph.nodes().vector(-1, width)));
  }

  /** x with the output of its feed-forward layer added. */
  private Value feedForward(Value x, Value h, String name) {
    boolean biased = config.projections().feedForward();
    int wide = config.feedForwardWidth();
    int width = config.modelWidth();
    Value gate = linear(h, name + ".gate_proj", wide, width, biased);
    Value up = linear(h, name + ".up_proj", wide, width, biased);
    return layers.residual(
        x,
        rows.gated(Activation.Function.SILU, gate, up),
        name + ".down_proj",
        width,
        wide,
        Side.SOURCE,
        biased,
        0);
  }

  private Value linear(Value x, String module, long out, long in, boolean biased) {
    return layers.linear(x, module, out, in, Side.SOURCE, biased);
  }

  private Value norm(Value x, String name, int width) {
    return layers.norm(x, name, width, config.normEpsilon());
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
    return new TokenRows.Head(weight, config.vocabularySize(), 1);
  }

  /** What attention scores are multiplied by. */
  float scale() {
    return (float) (1 / Math.sqrt(config.headWidth()));
  }

  int innerWidth() {
    return config.heads() * config.headWidth();
  }

  private int keyWidth() {
    return config.keyHeads() * config.headWidth();
  }

  void requireTargetsMet() {
    layers.requireTargetsMet(
        config.modelType(), "q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj");
  }
}
