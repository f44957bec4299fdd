package io.github.recurrentkif.graph.operators;

import io.github.recurrentkif.graph.Attribute;
import io.github.recurrentkif.graph.Gradients;
import io.github.recurrentkif.graph.Nodes;
import io.github.recurrentkif.graph.Operator;
import io.github.recurrentkif.graph.Value;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What lets an attention do without keys and values of its own: since {@code q . (W x) = (q W) .
 * x}, its queries can ask the rows x themselves, and what it mixes of these becomes what it would
 * have mixed of values. Each head has rows of its own of the weight [heads*width, depth] of a
 * linear layer. For decoding alone: there is no gradient.
 */
public final class HeadProduct implements Operator {

  /** From what a head has to what. */
  public enum Into {
    /** Queries [rows, heads*width] to [rows, heads*depth]. */
    DEPTH,
    /** What was mixed [rows, heads*depth] to [rows, heads*width]. */
    WIDTH
  }

  /** The low-rank adapter of the layer: a [rank, depth], b [heads*width, rank]. */
  public record Adapter(Value a, Value b, float scale) {}

  private final Value x;
  private final Value weight;
  private final @Nullable Adapter adapter;
  private final int heads;
  private final Into into;

  public HeadProduct(Value x, Value weight, @Nullable Adapter adapter, int heads, Into into) {
    this.x = x;
    this.weight = weight;
    this.adapter = adapter;
    this.heads = heads;
    this.into = into;
  }

  @Override
  public List<Value> inputs() {
    return List.of(x);
  }

  @Override
  public Value forward(Nodes nodes) {
    List<@Nullable Value> inputs = new ArrayList<>(List.of(x, weight));
    if (adapter != null) {
      inputs.addAll(List.of(adapter.a(), adapter.b()));
    }
    return nodes
        .own(
            "HeadProduct",
            1,
            inputs,
            Attribute.of("heads", heads),
            Attribute.of("scale", adapter == null ? 1 : adapter.scale()),
            Attribute.of(
                "into",
                switch (into) {
                  case DEPTH -> "depth";
                  case WIDTH -> "width";
                }))
        .getFirst();
  }

  @Override
  public void backward(Nodes nodes, Value dy, Gradients gradients) {
    throw new IllegalStateException("there is no gradient of a product for decoding");
  }
}
