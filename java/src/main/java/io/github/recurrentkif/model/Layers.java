package io.github.recurrentkif.model;

import io.github.recurrentkif.graph.Dimension;
import io.github.recurrentkif.graph.ElementType;
import io.github.recurrentkif.graph.Graph;
import io.github.recurrentkif.graph.Value;
import io.github.recurrentkif.graph.operators.Activation;
import io.github.recurrentkif.graph.operators.BiasAddition;
import io.github.recurrentkif.graph.operators.Embedding;
import io.github.recurrentkif.graph.operators.GatedLowRankUpdate;
import io.github.recurrentkif.graph.operators.HeadProduct;
import io.github.recurrentkif.graph.operators.Linear;
import io.github.recurrentkif.graph.operators.SoftEmbedding;
import io.github.recurrentkif.graph.operators.Softmax;
import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.memory.Shape;
import io.github.recurrentkif.model.DropoutPlace.Side;
import java.util.EnumMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * What the layers of a transformer have in common, over the parameters of one graph: which are
 * trained, and which linear layers have an adapter.
 */
final class Layers {

  private final Graph graph;
  private final Trainables trainables;
  private final TokenRows rows;
  private final Set<String> usedTargets = new HashSet<>();

  /** How much each task's adapter takes part in a text, and the same for the rows of a side. */
  private @Nullable Value ofTexts;

  private final Map<Side, Value> ofRows = new EnumMap<>(Side.class);

  Layers(Graph graph, Trainables trainables, TokenRows rows) {
    this.graph = graph;
    this.trainables = trainables;
    this.rows = rows;
  }

  Value parameter(String name, Shape shape) {
    return trainables instanceof Trainables.EveryWeight
        ? graph.trainable(name, shape)
        : graph.frozen(name, shape);
  }

  /** A parameter [out, in] or [vocabulary, width] that rows are multiplied by or taken from. */
  Value matrix(String name, long height, long width) {
    Shape shape = Shape.of(height, width);
    return trainables instanceof Trainables.EveryWeight
        ? graph.trainable(name, shape)
        : graph.frozen(name, shape, rows.weightType());
  }

  /** What the tokens of the decoder of a model with an encoder mean. */
  Value embedded(Value ids, Embeddings embeddings) {
    return graph.apply(new Embedding(ids, table(embeddings)));
  }

  /** What the tokens of a text mean, soft prompts among them where the adapter has such. */
  Value embeddedText(Value ids, Embeddings embeddings) {
    int width = embeddings.width();
    if (trainables instanceof Trainables.Adapter(TaskAttentionConfig attention)) {
      attention.parameters(width).forEach(graph::trainedElsewhere);
    }
    if (!(trainables instanceof Trainables.Adapter(PromptPoolConfig pool))) {
      return embedded(ids, embeddings);
    }
    Value vectors = graph.trainable(PromptPoolConfig.VECTORS, Shape.of(pool.vectors(), width));
    graph.trainedElsewhere(PromptPoolConfig.KEYS, Shape.of(pool.prompts(), width));
    return withPrompts(ids, embeddings, vectors, pool);
  }

  /** What the tokens of a text meant to a pool of prompts as it was before. */
  Value embeddedTextBefore(Value ids, Embeddings embeddings) {
    if (!(trainables instanceof Trainables.Adapter(PromptPoolConfig pool))) {
      throw new IllegalArgumentException("the answers of prompts alone are held");
    }
    Value vectors =
        graph.input(
            PromptPoolConfig.BEFORE,
            ElementType.FLOAT32,
            Dimension.of(pool.vectors()),
            Dimension.of(embeddings.width()));
    return withPrompts(ids, embeddings, vectors, pool);
  }

  private Value withPrompts(
      Value ids, Embeddings embeddings, Value vectors, PromptPoolConfig pool) {
    return graph.apply(
        new SoftEmbedding(
            ids, table(embeddings), embeddings.vocabulary(), vectors, pool.vectors()));
  }

  /** The table [vocabulary, width] of that name. */
  record Embeddings(String name, int vocabulary, int width) {}

  Value table(Embeddings embeddings) {
    return matrix(embeddings.name(), embeddings.vocabulary(), embeddings.width());
  }

  Value norm(Value x, String name, int width, float epsilon) {
    return rows.norm(x, parameter(name, Shape.of(width)), epsilon);
  }

  /** A linear layer, with its adapter where it has one. */
  Value linear(Value x, String module, long out, long in, Side side) {
    return linear(x, module, out, in, side, false);
  }

  /** A linear layer, with its bias and its adapter where it has them. */
  Value linear(Value x, String module, long out, long in, Side side, boolean biased) {
    Value y = rows.linear(x, matrix(module + ".weight", out, in));
    if (biased) {
      y = graph.apply(new BiasAddition(y, parameter(module + ".bias", Shape.of(out))));
    }
    LoraConfig lora = loraOf(module);
    if (lora == null) {
      return y;
    }
    TokenRows.Adapter adapter = adapter(lora, module, out, in);
    Value a = adapter.a();
    Value b = adapter.b();
    if (lora.observed()) {
      rows.magnitudes().add(module, x, side, a, b, lora.rank(), (int) out);
    }
    Value gates = gates(x, module, in, side);
    if (gates == null) {
      return rows.adapted(y, x, side, adapter);
    }
    Value dropped = rows.dropped(x, side, (int) in, lora.dropout());
    return graph.apply(new GatedLowRankUpdate(y, dropped, a, b, gates, lora.scale()));
  }

  /** How the low-rank adapters of a layer are weighed row by row, where there are several. */
  private @Nullable Value gates(Value x, String module, long in, Side side) {
    if (trainables instanceof Trainables.Adapter(MixtureConfig mixture)) {
      Value router = graph.trainable(module + ".router.weight", Shape.of(mixture.experts(), in));
      return graph.apply(new Softmax(graph.apply(new Linear(x, router))));
    }
    if (trainables instanceof Trainables.Adapter(TaskAttentionConfig attention)) {
      if (ofTexts == null) {
        ofTexts =
            graph.differentiableInput(
                TaskAttentionConfig.GATES, Dimension.of("texts"), Dimension.of(attention.tasks()));
      }
      Value gates = ofTexts;
      return ofRows.computeIfAbsent(
          side, _ -> graph.apply(new Embedding(rows.sequences(side), gates)));
    }
    return null;
  }

  private TokenRows.Adapter adapter(LoraConfig lora, String module, long out, long in) {
    lora.targets().stream().filter(t -> module.endsWith("." + t)).forEach(usedTargets::add);
    return new TokenRows.Adapter(
        graph.trainable(module + ".lora_A.weight", Shape.of(lora.rank(), in)),
        graph.trainable(module + ".lora_B.weight", Shape.of(out, lora.rank())),
        lora.scale(),
        (int) in,
        lora.dropout());
  }

  /** Whether what an adapter adds to a layer is a linear map too, not one chosen for each row. */
  static boolean isLinear(Trainables trainables) {
    return !(trainables instanceof Trainables.Adapter adapter
        && (adapter.config() instanceof MixtureConfig
            || adapter.config() instanceof TaskAttentionConfig));
  }

  /** The product of heads with the rows that each has of a linear layer, its adapter with it. */
  Value headProduct(Value x, String module, HeadProduct.Heads heads, HeadProduct.Into into) {
    Value weight = headWeight(module, heads);
    return graph.apply(new HeadProduct(x, weight, headAdapter(module, heads), heads, into));
  }

  Value headWeight(String module, HeadProduct.Heads heads) {
    return matrix(module + ".weight", (long) heads.heads() * heads.width(), heads.depth());
  }

  HeadProduct.@Nullable Adapter headAdapter(String module, HeadProduct.Heads heads) {
    LoraConfig lora = loraOf(module);
    if (lora == null) {
      return null;
    }
    TokenRows.Adapter adapter =
        adapter(lora, module, (long) heads.heads() * heads.width(), heads.depth());
    return new HeadProduct.Adapter(adapter.a(), adapter.b(), lora.rank(), adapter.scale());
  }

  /** What the adapter of a linear layer takes for x; x itself where it drops nothing. */
  Value adapterInput(Value x, String module, int in, Side side) {
    LoraConfig lora = loraOf(module);
    return lora == null ? x : rows.dropped(x, side, in, lora.dropout());
  }

  /** The low-rank adapter of a linear layer, if it has one. */
  private @Nullable LoraConfig loraOf(String module) {
    LoraConfig lora = lora();
    return lora != null && lora.adapts(module) ? lora : null;
  }

  private @Nullable LoraConfig lora() {
    return trainables instanceof Trainables.Adapter adapter ? adapter.lora() : null;
  }

  /** Whether a linear layer is its weight alone. */
  private boolean isPlain(String module, boolean biased) {
    return !biased && loraOf(module) == null;
  }

  /** What a branch gives back to the stream x: {@code x + drop(linear layer of h)}. */
  Value residual(
      Value x,
      Value h,
      String module,
      long out,
      long in,
      Side side,
      boolean biased,
      double dropout) {
    return isPlain(module, biased)
        ? rows.residual(x, h, matrix(module + ".weight", out, in), side, (int) out, dropout)
        : rows.residual(x, linear(h, module, out, in, side, biased), side, (int) out, dropout);
  }

  /** {@code x + drop(wo(drop(max(wi(h), 0))))}. */
  Value feedForward(
      Value x, Value h, String wi, String wo, int wide, int width, Side side, double dropout) {
    if (isPlain(wi, false) && isPlain(wo, false)) {
      TokenRows.FeedForward layer =
          new TokenRows.FeedForward(
              matrix(wi + ".weight", wide, width),
              matrix(wo + ".weight", width, wide),
              wide,
              width,
              dropout);
      return rows.feedForward(x, h, layer, side);
    }
    Value activated =
        graph.apply(new Activation(Activation.Function.RELU, linear(h, wi, wide, width, side)));
    Value kept = rows.dropped(activated, side, wide, dropout);
    return residual(x, kept, wo, width, wide, side, false, dropout);
  }

  /**
   * @throws InputException if the adapter has a target that no linear layer so far has met
   */
  void requireTargetsMet(String family, String modules) {
    LoraConfig lora = lora();
    if (lora != null) {
      for (String target : lora.targets()) {
        if (!usedTargets.contains(target)) {
          throw new InputException(
              "the adapter's target module '"
                  + target
                  + "' names no linear layer of this "
                  + family
                  + "; it has "
                  + modules);
        }
      }
    }
  }
}
