package io.github.recurrentkif.graph.operators;

import io.github.recurrentkif.graph.Gradients;
import io.github.recurrentkif.graph.Nodes;
import io.github.recurrentkif.graph.Operator;
import io.github.recurrentkif.graph.Value;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** The non-linearity of a feed-forward layer, element by element. */
public final class Activation implements Operator {

  /** Which function. */
  public enum Function {
    /** {@code max(x, 0)}; the derivative at 0 is 0. */
    RELU,
    /**
     * {@code 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))}: the tanh approximation of GELU
     * (Hendrycks and Gimpel, 2016), {@code gelu_new} in Hugging Face's words.
     */
    GELU_TANH,
    /** {@code x sigmoid(x)}. */
    SILU
  }

  private static final float CUBIC = 0.044715f;
  private static final float SQRT_2_OVER_PI = (float) Math.sqrt(2 / Math.PI);

  private final Function function;
  private final Value x;
  private @Nullable Value saved;

  public Activation(Function function, Value x) {
    this.function = function;
    this.x = x;
  }

  @Override
  public List<Value> inputs() {
    return List.of(x);
  }

  @Override
  public Value forward(Nodes nodes) {
    return switch (function) {
      case RELU -> {
        saved = nodes.relu(x);
        yield saved;
      }
      case GELU_TANH -> {
        Value cube = nodes.multiply(nodes.multiply(x, x), x);
        Value inner = nodes.add(x, nodes.multiply(cube, nodes.constant(CUBIC)));
        saved = nodes.tanh(nodes.multiply(inner, nodes.constant(SQRT_2_OVER_PI)));
        Value half = nodes.multiply(x, nodes.constant(0.5f));
        yield nodes.multiply(half, nodes.add(saved, nodes.constant(1f)));
      }
      case SILU -> {
        saved = nodes.sigmoid(x);
        yield nodes.multiply(x, saved);
      }
    };
  }

  @Override
  public void backward(Nodes nodes, Value dy, Gradients gradients) {
    if (gradients.needs(x)) {
      gradients.add(x, nodes.multiply(dy, derivative(nodes)));
    }
  }

  private Value derivative(Nodes nodes) {
    if (saved == null) {
      throw new IllegalStateException("backward before forward");
    }
    return switch (function) {
      case RELU -> nodes.sign(saved);
      case GELU_TANH -> {
        // With t = tanh(u): 0.5 (1 + t) + 0.5 x (1 - t^2) du/dx
        Value one = nodes.constant(1f);
        Value half = nodes.constant(0.5f);
        Value square = nodes.multiply(x, x);
        Value slope =
            nodes.add(
                nodes.multiply(square, nodes.constant(3 * CUBIC * SQRT_2_OVER_PI)),
                nodes.constant(SQRT_2_OVER_PI));
        Value bend = nodes.multiply(nodes.subtract(one, nodes.multiply(saved, saved)), slope);
        yield nodes.multiply(half, nodes.add(nodes.add(saved, one), nodes.multiply(x, bend)));
      }
      case SILU -> {
        // s + x s (1 - s)
        Value rest = nodes.subtract(nodes.constant(1f), saved);
        yield nodes.multiply(saved, nodes.add(nodes.multiply(x, rest), nodes.constant(1f)));
      }
    };
  }
}
