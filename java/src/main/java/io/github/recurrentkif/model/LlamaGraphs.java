package io.github.recurrentkif.model;

import io.github.recurrentkif.graph.Dimension;
import io.github.recurrentkif.graph.ElementType;
import io.github.recurrentkif.graph.Graph;
import io.github.recurrentkif.graph.Nodes;
import io.github.recurrentkif.graph.Value;
import io.github.recurrentkif.graph.operators.Precision;
import io.github.recurrentkif.graph.operators.RotaryEmbedding;
import io.github.recurrentkif.model.DropoutPlace.Side;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The graphs of a LLaMA or Qwen. Which position a token has is up to the caller, who gives the
 * cosines and sines of its angles ({@link RotaryAngles}): the graphs know neither the frequencies
 * nor a longest text.
 */
final class LlamaGraphs implements ModelGraphs {

  private final LlamaConfig config;
  private final Trainables trainables;

  LlamaGraphs(LlamaConfig config, Trainables trainables) {
    this.config = config;
    this.trainables = trainables;
  }

  /**
   * Logits are taken only of the rows that are asked for: the head is by far the widest layer, and
   * most tokens of a prompt teach nothing.
   */
  @Override
  public Answering answering(Graph graph, TokenRows rows, boolean before) {
    LlamaBlocks blocks = new LlamaBlocks(config, trainables, graph, rows);
    TokenRows.Attending attending = attending(blocks);
    Value ids = rows.ids(Side.SOURCE);
    Value x =
        blocks.forward(
            before ? blocks.textBefore(ids) : blocks.text(ids),
            (heads, count) -> rows.turned(heads, count, config.headWidth()),
            (_, q, k, v) -> rows.attention(q, k, v, null, attending));
    blocks.requireTargetsMet();
    return new Answering(x, blocks.head(), true);
  }

  @Override
  public PackedRows packedRows(Graph graph, boolean dropout, Precision precision) {
    return (dropout && drops()) || rowsBelongToTexts()
        ? PackedRows.learning(graph, dropout, precision)
        : PackedRows.learningOfSharedBeginnings(graph, precision);
  }

  private boolean drops() {
    LoraConfig lora = lora();
    return config.attentionDropout() != 0 || (lora != null && lora.dropout() != 0);
  }

  /** Whether a token's row depends on its whole text, or counts once for every text. */
  private boolean rowsBelongToTexts() {
    LoraConfig lora = lora();
    return trainables instanceof Trainables.Adapter(TaskAttentionConfig _)
        || (lora != null && lora.observed());
  }

  private @Nullable LoraConfig lora() {
    return trainables instanceof Trainables.Adapter adapter ? adapter.lora() : null;
  }

  private TokenRows.Attending attending(LlamaBlocks blocks) {
    return new TokenRows.Attending(
        Side.SOURCE,
        Side.SOURCE,
        config.heads(),
        config.keyHeads(),
        config.headWidth(),
        true,
        blocks.scale(),
        config.attentionDropout());
  }

  @Override
  public List<ModelGraph> decoding(Precision precision) {
    return List.of(decoderStep(precision));
  }

  /**
   * Some tokens of every row, after those whose keys and values are cached: to the next token by
   * greedy choice and the longer cache. Cached are the prompt, which stays where it is, and behind
   * it what came since, which is copied to grow. With both empty this is the pass over the prompt.
   */
  private ModelGraph decoderStep(Precision precision) {
    Graph graph = new Graph();
    PaddedRows rows = new PaddedRows(graph, false, precision);
    LlamaBlocks blocks = new LlamaBlocks(config, trainables, graph, rows);
    new DecoderStep(graph, graph.nodes(), blocks).write();
    return new ModelGraph("decoder_step", graph, rows.dropoutPlaces());
  }

  @Override
  public List<ModelGraph> packedDecoding(Precision precision) {
    return List.of(packedDecoderStep(precision));
  }

  /**
   * Some tokens of every sequence, prompts among them, over its cache as {@link PackedRows} has it.
   */
  private ModelGraph packedDecoderStep(Precision precision) {
    Graph graph = new Graph();
    PackedRows rows = PackedRows.decoding(graph, precision);
    LlamaBlocks blocks = new LlamaBlocks(config, trainables, graph, rows);
    TokenRows.Attending attending = attending(blocks);
    LlamaBlocks.Asked asked =
        new LlamaBlocks.Asked(
            rows::onlyAsked,
            (heads, count) -> rows.turnedAsked(heads, count, config.headWidth()),
            (layer, q, k, v) -> rows.cachedAttentionOfAsked(layer, q, k, v, attending));
    LlamaBlocks.Turning turning = (heads, count) -> rows.turned(heads, count, config.headWidth());
    LlamaBlocks.Attending all =
        (layer, q, k, v) -> rows.cachedAttention(layer, q, k, v, null, attending);
    Value text = blocks.text(rows.ids(Side.SOURCE));
    // Adapters that are weighed text by text are so for all rows of a side.
    Value x =
        trainables instanceof Trainables.Adapter(TaskAttentionConfig _)
            ? rows.onlyAsked(blocks.forward(text, turning, all))
            : blocks.forward(text, turning, all, asked);
    rows.chooseNext(x, blocks.head());
    return new ModelGraph("packed_decoder_step", graph, rows.dropoutPlaces());
  }

  private final class DecoderStep {

    private final Graph graph;
    private final Nodes nodes;
    private final LlamaBlocks blocks;

    DecoderStep(Graph graph, Nodes nodes, LlamaBlocks blocks) {
      this.graph = graph;
      this.nodes = nodes;
      this.blocks = blocks;
    }

    /**
     * What all layers share of a batch.
     *
     * @param queryShape the vector [batch, length, heads, width]; likewise keyShape
     */
    private record Tokens(Value batchAndLength, Value queryShape, Value keyShape) {}

    void write() {
      Value ids = ids("input_ids", "query");
      Value mask = ids("attention_mask", "present");
      Value batchAndLength = nodes.shapeOf(ids);
      RotaryEmbedding.Angles angles = PaddedRows.angles(graph, "query", config.headWidth());
      Tokens tokens =
          new Tokens(
              batchAndLength,
              headShape(batchAndLength, config.heads()),
              headShape(batchAndLength, config.keyHeads()));
      Value bias = hidden(mask, tokens);
      Value x =
          blocks.forward(
              blocks.text(nodes.reshape(ids, nodes.vector(-1))),
              (heads, count) ->
                  graph.apply(
                      new RotaryEmbedding(
                          heads, angles, count, config.headWidth(), batchAndLength)),
              (layer, q, k, v) -> {
                Cached keys = cached("key." + layer, k, tokens);
                Cached values = cached("value." + layer, v, tokens);
                return attendCached(q, keys, values, bias, tokens);
              });
      Value perRow =
          nodes.reshape(x, nodes.concatenate(0, batchAndLength, nodes.vector(config.modelWidth())));
      Value last = nodes.gatherAlong(1, perRow, nodes.constant(-1L));
      TokenRows.Head head = blocks.head();
      Value logits = PaddedRows.product(graph, last, head.weight(), head.scale());
      graph.output(nodes.argmax(logits), "next_token", ElementType.INT64, Dimension.of("batch"));
    }

    private Value ids(String name, String length) {
      return graph.input(name, ElementType.INT64, Dimension.of("batch"), Dimension.of(length));
    }

    private Value headShape(Value batchAndLength, int heads) {
      return nodes.concatenate(0, batchAndLength, nodes.vector(heads, config.headWidth()));
    }

    /** Keys or values [batch, keyHeads, length, width], in two parts. */
    private record Cached(Value prompt, Value since) {}

    private Cached cached(String name, Value rows, Tokens tokens) {
      Value added = ModelGraphs.headsFirst(nodes, nodes.reshape(rows, tokens.keyShape()));
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

    /**
     * Heads that share keys lie below each other, as in {@link
     * io.github.recurrentkif.graph.operators.Attention}.
     */
    private Value attendCached(Value q, Cached keys, Cached values, Value bias, Tokens tokens) {
      Value heads = ModelGraphs.headsFirst(nodes, nodes.reshape(q, tokens.queryShape()));
      Value grouped =
          nodes.reshape(heads, nodes.vector(0, config.keyHeads(), -1, config.headWidth()));
      Value scores =
          nodes.concatenate(
              3,
              nodes.product(grouped, false, keys.prompt(), true, blocks.scale()),
              nodes.product(grouped, false, keys.since(), true, blocks.scale()));
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
      return nodes.reshape(
          ModelGraphs.headsFirst(nodes, ungrouped), nodes.vector(-1, blocks.innerWidth()));
    }

    /**
     * [batch, 1, queries, keys] with the most negative float where the key is padding or comes
     * after the query. One number for both, since the sum of two would be infinite.
     */
    private Value hidden(Value mask, Tokens tokens) {
      Value total = nodes.gather(nodes.shapeOf(mask), nodes.constant(1L));
      Value length = nodes.gather(tokens.batchAndLength(), nodes.constant(1L));
      Value before = nodes.subtract(total, length);
      Value queries = nodes.add(nodes.range(length), before);
      Value keys = nodes.range(total);
      Value ahead =
          nodes.castToFloat(nodes.greater(nodes.unsqueeze(keys, 0), nodes.unsqueeze(queries, 1)));
      Value padded = nodes.subtract(nodes.constant(1f), nodes.castToFloat(mask));
      Value either = nodes.maximum(ahead, nodes.unsqueeze(padded, 1, 2));
      return nodes.multiply(either, nodes.constant(PaddedRows.HIDDEN));
    }
  }
}
