package io.github.recurrentkif.graph.operators;

import io.github.recurrentkif.graph.Attribute;
import io.github.recurrentkif.graph.Gradients;
import io.github.recurrentkif.graph.Nodes;
import io.github.recurrentkif.graph.Operator;
import io.github.recurrentkif.graph.Value;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * {@code y = h Wo^T} with {@code h = drop(max(x Wi^T, 0))} and weights that never change, added to
 * another value if there is one: x [rows, in], Wi [wide, in], Wo [out, wide].
 *
 * <p>h alone tells the backward pass which elements ReLU and dropout let through: its positive
 * ones.
 */
public final class FrozenFeedForward implements Operator {

  private final @Nullable Value addend;
  private final Value x;
  private final Value wi;
  private final Value wo;
  private final @Nullable Value offsets;
  private final @Nullable KeyedDropout dropout;
  private final Precision precision;
  private final FewRows fewRows;
  private @Nullable Value hidden;

  /**
   * @param addend [rows, out]
   * @param offsets of the sequences among the rows; only dropout looks at them
   */
  public FrozenFeedForward(
      @Nullable Value addend,
      Value x,
      Value wi,
      Value wo,
      @Nullable Value offsets,
      @Nullable KeyedDropout dropout,
      Precision precision,
      FewRows fewRows) {
    FrozenLinear.requireFrozen(wi);
    FrozenLinear.requireFrozen(wo);
    this.addend = addend;
    this.x = x;
    this.wi = wi;
    this.wo = wo;
    this.offsets = offsets;
    this.dropout = dropout;
    this.precision = precision;
    this.fewRows = fewRows;
  }

  @Override
  public List<Value> inputs() {
    return addend == null ? List.of(x) : List.of(addend, x);
  }

  @Override
  public Value forward(Nodes nodes) {
    Value activated = FrozenLinear.forward(nodes, x, wi, null, "relu", precision, fewRows);
    hidden =
        dropout == null || offsets == null
            ? activated
            : Drop.dropped(nodes, activated, offsets, dropout);
    return FrozenLinear.forward(nodes, hidden, wo, addend, "none", precision, fewRows);
  }

  @Override
  public void backward(Nodes nodes, Value dy, Gradients gradients) {
    if (hidden == null) {
      throw new IllegalStateException("backward before forward");
    }
    if (addend != null) {
      gradients.add(addend, dy);
    }
    if (gradients.needs(x)) {
      Value dh =
          nodes
              .own(
                  "FrozenProductMasked",
                  1,
                  List.of(dy, wo, hidden),
                  Attribute.of("transposed", 0),
                  Attribute.of("scale", dropout == null ? 1f : dropout.keptValue()),
                  Attribute.of("precision", precision.backward()))
              .getFirst();
      gradients.addInto(x, sum -> FrozenLinear.backward(nodes, dh, wi, sum, precision));
    }
  }
}
