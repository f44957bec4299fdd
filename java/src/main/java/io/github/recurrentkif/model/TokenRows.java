package io.github.recurrentkif.model;

import io.github.recurrentkif.graph.ElementType;
import io.github.recurrentkif.graph.Value;
import io.github.recurrentkif.graph.operators.Activation;
import io.github.recurrentkif.model.DropoutPlace.Side;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * How the tokens of a batch become the rows of activations [rows, width], and the operators that
 * depend on it. One instance belongs to one graph and declares the inputs of it that describe the
 * batch.
 */
interface TokenRows {

  /**
   * One multi-head attention: q [query rows, heads*width], k and v [key rows, keyHeads*width].
   *
   * @param keyHeads divides heads; consecutive heads share one
   * @param causal whether a query sees no key behind it
   * @param scale of the scores
   * @param dropout of the probabilities
   */
  record Attending(
      Side queries,
      Side keys,
      int heads,
      int keyHeads,
      int width,
      boolean causal,
      float scale,
      double dropout) {}

  /**
   * A learned bias by the distance of key and query.
   *
   * @param table [buckets, heads]
   * @param bucketsByDistance the row of the table for every distance from -maximum to maximum;
   *     farther ones count as these
   */
  record DistanceBias(Value table, int buckets, long[] bucketsByDistance) {}

  /** The output head: {@code logits = scale * x weight^T} with weight [vocabulary, width]. */
  record Head(Value weight, int vocabulary, float scale) {}

  /** What frozen weights of linear layers, embeddings and the head are given in. */
  default ElementType weightType() {
    return ElementType.FLOAT32;
  }

  /** The token ids of a side, one for each row. */
  Value ids(Side side);

  /** Which sequence each row of a side belongs to, counted from 0. */
  Value sequences(Side side);

  /** The input that says so. */
  static String sequencesName(Side side) {
    return side == Side.SOURCE
        ? TaskAttentionConfig.SOURCE_TEXTS
        : TaskAttentionConfig.TARGET_TEXTS;
  }

  /** {@code x W^T} with W [out, in]. */
  Value linear(Value x, Value weight);

  /**
   * A low-rank adapter: {@code base + scale * (drop(x) A^T) B^T}.
   *
   * @param x [rows of the side, width]
   */
  Value adapted(Value base, Value x, Side side, Adapter adapter);

  /**
   * The matrices of an adapter.
   *
   * @param width of its input
   */
  record Adapter(Value a, Value b, float scale, int width, double dropout) {}

  Value norm(Value x, Value scale, float epsilon);

  /** Adapters of which the training graph is to say how large their outputs are. */
  AdapterMagnitudes magnitudes();

  /** x [rows of the side, width] with elements dropped, where this graph drops. */
  Value dropped(Value x, Side side, int width, double probability);

  /** {@code x + drop(branch)}: rows of the side, width. */
  Value residual(Value x, Value branch, Side side, int width, double probability);

  /** {@code x + drop(h W^T)} with W [width, in]. */
  default Value residual(Value x, Value h, Value weight, Side side, int width, double probability) {
    return residual(x, linear(h, weight), side, width, probability);
  }

  /** {@code f(gate) * up}. */
  Value gated(Activation.Function function, Value gate, Value up);

  /** {@code x + drop(drop(max(h Wi^T, 0)) Wo^T)} with Wi [wide, width], Wo [width, wide]. */
  Value feedForward(Value x, Value h, FeedForward layer, Side side);

  /** A feed-forward layer with ReLU and without adapters. */
  record FeedForward(Value wi, Value wo, int wide, int width, double dropout) {}

  /** What attention within a side adds to its scores; layers share it. */
  Value positionBias(DistanceBias bias, Attending attending);

  /**
   * @param bias from {@link #positionBias}
   */
  Value attention(Value q, Value k, Value v, @Nullable Value bias, Attending attending);

  /** Heads of a decoder-only model, turned by the angles of their positions. */
  Value turned(Value x, int heads, int width);

  /**
   * Ends the training graph: the weighted token cross-entropy of the head's logits against the
   * labels, and its gradient.
   *
   * @param labelledOnly whether only the rows asked for as {@code logit_rows} have labels, or all
   */
  void learn(Value rows, Head head, boolean labelledOnly);

  /** The dropouts whose masks the graph takes as inputs. */
  List<DropoutPlace> dropoutPlaces();
}
