package io.github.recurrentkif.graph.operators;

import io.github.recurrentkif.graph.Attribute;
import io.github.recurrentkif.graph.Gradients;
import io.github.recurrentkif.graph.Nodes;
import io.github.recurrentkif.graph.Operator;
import io.github.recurrentkif.graph.Value;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * {@link LowRankUpdate} of an input of which elements are dropped, over sequences one behind the
 * other, one node for each direction; the backward node adds to the gradient of x so far.
 */
public final class KeyedLowRankUpdate implements Operator {

  private final Value base;
  private final Value x;
  private final Value a;
  private final Value b;
  private final float scale;
  private final @Nullable Value offsets;
  private final @Nullable KeyedDropout dropout;
  private @Nullable Value t;

  /**
   * @param offsets of the sequences among the rows; only dropout looks at them
   */
  public KeyedLowRankUpdate(
      Value base,
      Value x,
      Value a,
      Value b,
      float scale,
      @Nullable Value offsets,
      @Nullable KeyedDropout dropout) {
    this.base = base;
    this.x = x;
    this.a = a;
    this.b = b;
    this.scale = scale;
    this.offsets = offsets;
    this.dropout = dropout;
  }

  @Override
  public List<Value> inputs() {
    return List.of(base, x, a, b);
  }

  @Override
  public Value forward(Nodes nodes) {
    List<Value> results = nodes.own("LowRankUpdate", 2, inputs(null, base, x, a, b), attributes());
    t = results.get(1);
    return results.get(0);
  }

  @Override
  public void backward(Nodes nodes, Value dy, Gradients gradients) {
    Value saved = t;
    if (saved == null) {
      throw new IllegalStateException("backward before forward");
    }
    gradients.add(base, dy);
    if (!gradients.needs(x)) {
      addWeights(gradients, gradient(nodes, 2, dy, saved, null));
      return;
    }
    gradients.addInto(
        x,
        sum -> {
          List<Value> results = gradient(nodes, 3, dy, saved, sum);
          addWeights(gradients, results);
          return results.get(2);
        });
  }

  private List<Value> gradient(
      Nodes nodes, int results, Value dy, Value saved, @Nullable Value sum) {
    return nodes.own("LowRankUpdateGrad", results, inputs(sum, dy, x, saved, a, b), attributes());
  }

  private void addWeights(Gradients gradients, List<Value> results) {
    gradients.add(a, results.get(0));
    gradients.add(b, results.get(1));
  }

  private List<@Nullable Value> inputs(@Nullable Value last, Value... first) {
    List<@Nullable Value> inputs = new ArrayList<>(Arrays.asList(first));
    if (dropout != null) {
      inputs.add(offsets);
      inputs.add(dropout.keys());
    } else if (last != null) {
      inputs.add(null);
      inputs.add(null);
    }
    if (last != null) {
      inputs.add(last);
    }
    return inputs;
  }

  private Attribute[] attributes() {
    Attribute scaled = Attribute.of("scale", scale);
    return dropout == null
        ? new Attribute[] {scaled}
        : new Attribute[] {scaled, dropout.placeAttribute(), dropout.probabilityAttribute()};
  }
}
