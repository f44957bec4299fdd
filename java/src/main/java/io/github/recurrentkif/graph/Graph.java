package io.github.recurrentkif.graph;

import io.github.recurrentkif.memory.Shape;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;

/**
 * A computation under construction: models apply {@link Operator}s to values; {@link
 * #differentiate} adds the backward pass; {@link OnnxWriter} makes an ONNX model of the whole.
 *
 * <p>Parameters come in two kinds. A frozen one is an initializer without data: whoever opens the
 * model hands in the memory. A trainable one is an input, so that its memory may change between
 * runs, and has a gradient; unless it is trained elsewhere, when the graph only knows its place.
 */
public final class Graph {

  /** An input or output as its user sees it. */
  public record Port(Value value, ElementType type, List<Dimension> dimensions) {}

  /** Values that are part of the model itself. */
  record Constant(Value value, ElementType type, Shape shape, byte[] data) {}

  private record Application(Operator operator, Value result) {}

  private final List<Port> inputs = new ArrayList<>();
  private final List<Port> outputs = new ArrayList<>();
  private final List<Port> differentiableInputs = new ArrayList<>();
  private final SequencedMap<String, Parameter> parameters = new LinkedHashMap<>();
  private final List<Application> tape = new ArrayList<>();
  private final Nodes nodes = new Nodes();

  private enum Use {
    FROZEN,
    TRAINED,
    TRAINED_ELSEWHERE
  }

  private record Parameter(Value value, Shape shape, ElementType type, Use use) {}

  /** What a frozen parameter must be given as: {@code FLOAT32} or {@code BFLOAT16}. */
  public record Frozen(ElementType type, Shape shape) {}

  /** A value given at every run. */
  public Value input(String name, ElementType type, Dimension... dimensions) {
    Value value = new Value(name, false);
    inputs.add(new Port(value, type, List.of(dimensions)));
    return value;
  }

  /** A value given at every run, whose gradient is asked for as a parameter's is. */
  public Value differentiableInput(String name, Dimension... dimensions) {
    Value value = new Value(name, true);
    Port port = new Port(value, ElementType.FLOAT32, List.of(dimensions));
    inputs.add(port);
    differentiableInputs.add(port);
    return value;
  }

  /** {@link #frozen(String, Shape, ElementType)} in float32. */
  public Value frozen(String name, Shape shape) {
    return frozen(name, shape, ElementType.FLOAT32);
  }

  /**
   * A parameter that stays as it is; asking again for the same name gives the same value.
   *
   * @param type {@code FLOAT32} or {@code BFLOAT16}
   * @throws IllegalArgumentException if the type is another one, or it was asked for otherwise
   */
  public Value frozen(String name, Shape shape, ElementType type) {
    if (type != ElementType.FLOAT32 && type != ElementType.BFLOAT16) {
      throw new IllegalArgumentException("parameter '" + name + "' cannot be " + type);
    }
    return parameter(name, shape, type, Use.FROZEN);
  }

  /** A parameter that is trained; asking again for the same name gives the same value. */
  public Value trainable(String name, Shape shape) {
    return parameter(name, shape, ElementType.FLOAT32, Use.TRAINED);
  }

  /** A parameter among the trained ones that nothing here reads: who does owes it its gradient. */
  public void trainedElsewhere(String name, Shape shape) {
    parameter(name, shape, ElementType.FLOAT32, Use.TRAINED_ELSEWHERE);
  }

  private Value parameter(String name, Shape shape, ElementType type, Use use) {
    Parameter known = parameters.get(name);
    if (known == null) {
      Value value = new Value(name, use == Use.TRAINED, type == ElementType.BFLOAT16);
      known = new Parameter(value, shape, type, use);
      parameters.put(name, known);
      if (use == Use.TRAINED) {
        inputs.add(new Port(known.value(), ElementType.FLOAT32, fixed(shape)));
      }
    } else if (!known.shape().equals(shape) || known.type() != type || known.use() != use) {
      throw new IllegalArgumentException(
          "parameter '%s' is %s, asked for as %s"
              .formatted(name, known, new Parameter(known.value(), shape, type, use)));
    }
    return known.value();
  }

  /** Applies an operator and remembers it for the backward pass where that may need it. */
  public Value apply(Operator operator) {
    boolean differentiable = operator.inputs().stream().anyMatch(Value::differentiable);
    Value result = nodes.within(differentiable, () -> operator.forward(nodes));
    if (differentiable) {
      tape.add(new Application(operator, result));
    }
    return result;
  }

  /** For what has no gradient: masks, shapes, indices. */
  public Nodes nodes() {
    return nodes;
  }

  /**
   * Adds the backward pass of a scalar loss, and one output {@code gradient/NAME} for every
   * trainable parameter and differentiable input.
   *
   * @throws IllegalStateException if the loss does not depend on one of them
   */
  public void differentiate(Value loss) {
    Gradients gradients = new Gradients(nodes);
    gradients.seed(loss);
    for (Application application : tape.reversed()) {
      Value resultGradient = gradients.of(application.result());
      if (resultGradient != null) {
        application.operator().backward(nodes, resultGradient, gradients);
      }
    }
    for (var entry : parameters.entrySet()) {
      Parameter parameter = entry.getValue();
      if (parameter.use() == Use.TRAINED) {
        outputGradient(gradients, parameter.value(), entry.getKey(), fixed(parameter.shape()));
      }
    }
    for (Port port : differentiableInputs) {
      outputGradient(gradients, port.value(), port.value().name(), port.dimensions());
    }
  }

  private void outputGradient(
      Gradients gradients, Value value, String name, List<Dimension> dimensions) {
    Value gradient = gradients.of(value);
    if (gradient == null) {
      throw new IllegalStateException("the loss does not depend on '" + name + "'");
    }
    output(gradient, gradientName(name), ElementType.FLOAT32, dimensions.toArray(Dimension[]::new));
  }

  /** The output that carries the gradient of a trainable parameter or a differentiable input. */
  public static String gradientName(String name) {
    return "gradient/" + name;
  }

  public void output(Value value, String name, ElementType type, Dimension... dimensions) {
    Value named = isPort(value) ? nodes.identity(value) : value;
    named.rename(name);
    outputs.add(new Port(named, type, List.of(dimensions)));
  }

  private boolean isPort(Value value) {
    return inputs.stream().anyMatch(port -> port.value() == value)
        || outputs.stream().anyMatch(port -> port.value() == value)
        || parameters.values().stream().anyMatch(parameter -> parameter.value() == value)
        || nodes.constants().stream().anyMatch(constant -> constant.value() == value);
  }

  private static List<Dimension> fixed(Shape shape) {
    return shape.dimensions().stream().map(Dimension::of).toList();
  }

  public List<Port> inputs() {
    return List.copyOf(inputs);
  }

  public List<Port> outputs() {
    return List.copyOf(outputs);
  }

  /** The frozen parameters by name, in the order they were asked for. */
  public SequencedMap<String, Frozen> frozenParameters() {
    SequencedMap<String, Frozen> chosen = new LinkedHashMap<>();
    parameters.forEach(
        (name, parameter) -> {
          if (parameter.use() == Use.FROZEN) {
            chosen.put(name, new Frozen(parameter.type(), parameter.shape()));
          }
        });
    return chosen;
  }

  /** Names and shapes of the trainable parameters, in the order they were asked for. */
  public SequencedMap<String, Shape> trainableParameters() {
    SequencedMap<String, Shape> chosen = new LinkedHashMap<>();
    parameters.forEach(
        (name, parameter) -> {
          if (parameter.use() != Use.FROZEN) {
            chosen.put(name, parameter.shape());
          }
        });
    return chosen;
  }
}
