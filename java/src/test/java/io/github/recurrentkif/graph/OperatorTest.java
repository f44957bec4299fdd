package io.github.recurrentkif.graph;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.graph.operators.Activation;
import io.github.recurrentkif.graph.operators.Attention;
import io.github.recurrentkif.graph.operators.BatchedBias;
import io.github.recurrentkif.graph.operators.Beside;
import io.github.recurrentkif.graph.operators.BiasAddition;
import io.github.recurrentkif.graph.operators.CrossEntropy;
import io.github.recurrentkif.graph.operators.Divergence;
import io.github.recurrentkif.graph.operators.Dropout;
import io.github.recurrentkif.graph.operators.Embedding;
import io.github.recurrentkif.graph.operators.GatedLowRankUpdate;
import io.github.recurrentkif.graph.operators.Linear;
import io.github.recurrentkif.graph.operators.LowRankUpdate;
import io.github.recurrentkif.graph.operators.Product;
import io.github.recurrentkif.graph.operators.RelativePositionBias;
import io.github.recurrentkif.graph.operators.Reshaping;
import io.github.recurrentkif.graph.operators.RmsNorm;
import io.github.recurrentkif.graph.operators.RotaryEmbedding;
import io.github.recurrentkif.graph.operators.Softmax;
import io.github.recurrentkif.graph.operators.Sum;
import io.github.recurrentkif.graph.operators.WiderHeads;
import io.github.recurrentkif.memory.Shape;
import io.github.recurrentkif.runtime.Binding;
import io.github.recurrentkif.runtime.OnnxRuntime;
import io.github.recurrentkif.runtime.Session;
import io.github.recurrentkif.runtime.SessionOptions;
import io.github.recurrentkif.runtime.Tensor;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;

/**
 * Every operator against PyTorch's float64 (operators.json, made by
 * bench/python/operator_fixtures.py) and against finite differences of its own forward pass.
 */
class OperatorTest {

  private static OnnxRuntime runtime;

  @BeforeAll
  static void openRuntime() {
    runtime = OnnxRuntime.load();
  }

  @AfterAll
  static void closeRuntime() {
    runtime.close();
  }

  static Stream<Case> cases() throws IOException {
    try (InputStream in = OperatorTest.class.getResourceAsStream("operators.json")) {
      List<Case> cases = new ArrayList<>();
      for (JsonNode json : new ObjectMapper().readTree(in)) {
        cases.add(Case.parse(json));
      }
      return cases.stream();
    }
  }

  @ParameterizedTest
  @MethodSource("cases")
  void resultAndGradientsAreThoseOfPyTorch(Case c) {
    Map<String, float[]> outputs = run(c, c.parameters());
    assertClose(c.result().values(), at(outputs, "result"), 1e-5, "result");
    c.gradients()
        .forEach(
            (name, gradient) ->
                assertClose(
                    gradient.values(), at(outputs, Graph.gradientName(name)), 1e-5, "d" + name));
  }

  @ParameterizedTest
  @MethodSource("cases")
  void gradientsAreThoseOfFiniteDifferences(Case c) {
    Map<String, float[]> gradients = run(c, c.parameters());
    c.parameters()
        .forEach(
            (name, parameter) -> {
              float[] gradient = at(gradients, Graph.gradientName(name));
              float largest = largest(gradient);
              // Small against the parameter's own scale, large against float32's rounding.
              float h = 1e-2f * largest(parameter.values());
              int stride = Math.max(1, parameter.values().length / 7);
              for (int i = 0; i < parameter.values().length; i += stride) {
                double slope = (lossWith(c, name, i, h) - lossWith(c, name, i, -h)) / (2 * h);
                assertEquals(gradient[i], slope, 0.02 * largest + 1e-3, "d" + name + "[" + i + "]");
              }
            });
  }

  private static double lossWith(Case c, String name, int index, float step) {
    Map<String, Numbers> moved = new LinkedHashMap<>(c.parameters());
    float[] values = at(moved, name).values().clone();
    values[index] += step;
    moved.put(name, new Numbers(at(moved, name).shape(), values));
    float[] result = at(run(c, moved), "result");
    double loss = 0;
    for (int i = 0; i < result.length; i++) {
      loss += (double) result[i] * c.projection().values()[i];
    }
    return loss;
  }

  private static Map<String, float[]> run(Case c, Map<String, Numbers> parameters) {
    Graph graph = new Graph();
    Map<String, Value> values = new LinkedHashMap<>();
    parameters.forEach((name, p) -> values.put(name, graph.trainable(name, p.shape())));
    c.constants()
        .forEach(
            (name, k) ->
                values.put(name, graph.input(name, ElementType.FLOAT32, dimensions(k.shape()))));
    c.indices()
        .forEach(
            (name, k) ->
                values.put(name, graph.input(name, ElementType.INT64, dimensions(k.shape()))));
    Value result = graph.apply(operator(c, graph, values));
    Value loss = result;
    if (!c.name().equals("cross-entropy")) {
      loss = graph.apply(new Projection(result, c.projection()));
    }
    graph.differentiate(loss);
    graph.output(result, "result", ElementType.FLOAT32, dimensions(c.result().shape()));

    Map<String, float[]> outputs = new LinkedHashMap<>();
    try (Arena arena = Arena.ofConfined();
        Session session =
            runtime.session(c.name(), OnnxWriter.write(graph, "test"), SessionOptions.defaults());
        Binding binding = session.binding()) {
      Map<String, Numbers> floats = new LinkedHashMap<>(parameters);
      floats.putAll(c.constants());
      floats.forEach(
          (name, n) ->
              binding.bindInput(
                  name,
                  Tensor.float32(
                      arena.allocateFrom(ValueLayout.JAVA_FLOAT, n.values()),
                      n.shape().toArray())));
      c.indices()
          .forEach(
              (name, n) -> {
                long[] ids = new long[n.values().length];
                for (int i = 0; i < ids.length; i++) {
                  ids[i] = (long) n.values()[i];
                }
                binding.bindInput(
                    name,
                    Tensor.int64(
                        arena.allocateFrom(ValueLayout.JAVA_LONG, ids), n.shape().toArray()));
              });
      Map<String, MemorySegment> memory = new LinkedHashMap<>();
      Map<String, Shape> shapes = new LinkedHashMap<>();
      shapes.put("result", c.result().shape());
      parameters.forEach((name, p) -> shapes.put(Graph.gradientName(name), p.shape()));
      shapes.forEach(
          (name, shape) -> {
            MemorySegment segment = arena.allocate(4 * Math.max(1, shape.elements()), 64);
            memory.put(name, segment.asSlice(0, 4 * shape.elements()));
            binding.bindOutput(name, Tensor.float32(at(memory, name), shape.toArray()));
          });
      binding.run();
      memory.forEach((name, m) -> outputs.put(name, m.toArray(ValueLayout.JAVA_FLOAT)));
    }
    return outputs;
  }

  private static Operator operator(Case c, Graph graph, Map<String, Value> v) {
    return switch (c.name()) {
      case "linear" -> new Linear(at(v, "x"), at(v, "w"));
      case "linear scaled" -> new Linear(at(v, "x"), at(v, "w"), 0.25f);
      case "low rank" -> new LowRankUpdate(at(v, "base"), at(v, "x"), at(v, "a"), at(v, "b"), 4);
      case "gated low rank" ->
          new GatedLowRankUpdate(
              at(v, "base"), at(v, "x"), at(v, "a"), at(v, "b"), at(v, "gates"), 4);
      case "beside" -> new Beside(at(v, "a"), 3, at(v, "b"), 2);
      case "wider heads" -> new WiderHeads(at(v, "x"), 3, 4, 2);
      case "softmax" -> new Softmax(at(v, "x"));
      case "embedding" -> new Embedding(at(v, "ids"), at(v, "table"));
      case "rms norm", "rms norm of small values" -> new RmsNorm(at(v, "x"), at(v, "scale"), 1e-6f);
      case "sum" -> new Sum(at(v, "a"), at(v, "b"));
      case "product" -> new Product(at(v, "a"), at(v, "b"));
      case "dropout" -> new Dropout(at(v, "x"), at(v, "mask"));
      case "relu" -> new Activation(Activation.Function.RELU, at(v, "x"));
      case "gelu tanh" -> new Activation(Activation.Function.GELU_TANH, at(v, "x"));
      case "silu" -> new Activation(Activation.Function.SILU, at(v, "x"));
      case "relative position bias" ->
          new RelativePositionBias(at(v, "table"), at(v, "buckets"), 4, 3);
      case "batched bias" -> new BatchedBias(at(v, "bias"), at(v, "mask"));
      case "attention", "attention with dropout" -> attention(graph, v, 5, 4, 1);
      case "attention scaled, hidden keys" -> attention(graph, v, 5, 4, 0.5f);
      case "attention over one key" -> attention(graph, v, 1, 1, 1);
      case "grouped attention", "grouped attention with dropout" -> groupedAttention(graph, v);
      case "rotary embedding", "rotary embedding, equal positions" ->
          new RotaryEmbedding(
              at(v, "x"),
              RotaryEmbedding.Angles.of(graph.nodes(), at(v, "cosine"), at(v, "sine")),
              2,
              6,
              graph.nodes().vector(2, 3));
      case "bias addition" -> new BiasAddition(at(v, "x"), at(v, "bias"));
      case "rms norm of heads" -> {
        Value heads = graph.apply(new Reshaping(at(v, "x"), graph.nodes().vector(-1, 3)));
        Value normalised = graph.apply(new RmsNorm(heads, at(v, "scale"), 1e-6f));
        yield new Reshaping(normalised, graph.nodes().vector(-1, 6));
      }
      case "cross-entropy" -> new CrossEntropy(at(v, "logits"), at(v, "labels"), at(v, "weights"));
      case "divergence" -> new Divergence(at(v, "wanted"), at(v, "logits"), at(v, "weights"));
      default -> throw new IllegalArgumentException("no operator for case '" + c.name() + "'");
    };
  }

  private static Attention attention(
      Graph graph, Map<String, Value> v, int queries, int keys, float scale) {
    Attention.Heads heads =
        new Attention.Heads(
            3, 2, graph.nodes().vector(2, queries, 3, 2), graph.nodes().vector(2, keys, 3, 2));
    return new Attention(
        at(v, "q"), at(v, "k"), at(v, "v"), at(v, "bias"), v.get("mask"), heads, scale);
  }

  private static Attention groupedAttention(Graph graph, Map<String, Value> v) {
    Attention.Heads heads =
        new Attention.Heads(
            4, 2, 2, graph.nodes().vector(2, 3, 4, 2), graph.nodes().vector(2, 5, 2, 2));
    return new Attention(
        at(v, "q"), at(v, "k"), at(v, "v"), at(v, "bias"), v.get("mask"), heads, 0.7f);
  }

  private static <T> T at(Map<String, T> map, String name) {
    return Objects.requireNonNull(map.get(name), name);
  }

  private static Dimension[] dimensions(Shape shape) {
    return shape.dimensions().stream().map(Dimension::of).toArray(Dimension[]::new);
  }

  private static float largest(float[] values) {
    float largest = 0;
    for (float value : values) {
      largest = Math.max(largest, Math.abs(value));
    }
    return largest;
  }

  private static void assertClose(float[] expected, float[] found, double relative, String what) {
    assertEquals(expected.length, found.length, what);
    double tolerance = relative * largest(expected) + 1e-12;
    for (int i = 0; i < expected.length; i++) {
      double deviation = Math.abs((double) expected[i] - found[i]);
      assertTrue(
          deviation <= tolerance,
          what + "[" + i + "]: expected " + expected[i] + ", found " + found[i]);
    }
  }

  /** The sum of result times constants: a loss in which every element of the result counts. */
  private static final class Projection implements Operator {

    private final Value x;
    private final Numbers factors;

    Projection(Value x, Numbers factors) {
      this.x = x;
      this.factors = factors;
    }

    @Override
    public List<Value> inputs() {
      return List.of(x);
    }

    @Override
    public Value forward(Nodes nodes) {
      return nodes.sumOfAll(nodes.multiply(x, constant(nodes)));
    }

    @Override
    public void backward(Nodes nodes, Value seed, Gradients gradients) {
      gradients.add(x, nodes.multiply(constant(nodes), seed));
    }

    private Value constant(Nodes nodes) {
      return nodes.floats(factors.shape(), factors.values());
    }
  }

  record Numbers(Shape shape, float[] values) {

    static Numbers parse(JsonNode json) {
      List<Long> shape = new ArrayList<>();
      json.get("shape").forEach(d -> shape.add(d.longValue()));
      JsonNode values = json.get("values");
      float[] floats = new float[values.size()];
      for (int i = 0; i < floats.length; i++) {
        floats[i] = (float) values.get(i).doubleValue();
      }
      return new Numbers(new Shape(shape), floats);
    }

    static Map<String, Numbers> parseAll(JsonNode json) {
      Map<String, Numbers> all = new LinkedHashMap<>();
      json.properties().forEach(entry -> all.put(entry.getKey(), parse(entry.getValue())));
      return all;
    }
  }

  record Case(
      String name,
      Map<String, Numbers> parameters,
      Map<String, Numbers> constants,
      Map<String, Numbers> indices,
      Numbers projection,
      Numbers result,
      Map<String, Numbers> gradients) {

    static Case parse(JsonNode json) {
      return new Case(
          json.get("name").stringValue(),
          Numbers.parseAll(json.get("parameters")),
          Numbers.parseAll(json.get("constants")),
          Numbers.parseAll(json.get("indices")),
          Numbers.parse(json.get("projection")),
          Numbers.parse(json.get("result")),
          Numbers.parseAll(json.get("gradients")));
    }

    @Override
    public String toString() {
      return name;
    }
  }
}
