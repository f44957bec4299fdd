package io.github.recurrentkif.graph.operators;

import io.github.recurrentkif.graph.Attribute;
import io.github.recurrentkif.graph.Gradients;
import io.github.recurrentkif.graph.Nodes;
import io.github.recurrentkif.graph.Operator;
import io.github.recurrentkif.graph.Value;
import java.util.List;

/**
 * {@code y = f(a) * b} element by element, one node for each direction: the middle of a gated
 * feed-forward layer; all [rows, width].
 */
public final class Gate implements Operator {

  private final Activation.Function function;
  private final Value a;
  private final Value b;

  public Gate(Activation.Function function, Value a, Value b) {
    this.function = function;
    this.a = a;
    this.b = b;
  }

  @Override
  public List<Value> inputs() {
    return List.of(a, b);
  }

  @Override
  public Value forward(Nodes nodes) {
    return nodes.own("Gate", 1, List.of(a, b), activation()).getFirst();
  }

  @Override
  public void backward(Nodes nodes, Value dy, Gradients gradients) {
    List<Value> results = nodes.own("GateGrad", 2, List.of(dy, a, b), activation());
    gradients.add(a, results.get(0));
    gradients.add(b, results.get(1));
  }

  private Attribute activation() {
    return Attribute.of(
        "activation",
        switch (function) {
          case RELU -> "relu";
          case GELU_TANH -> "gelu_new";
          case SILU -> "silu";
        });
  }
}
