package io.github.recurrentkif.graph;

import io.github.recurrentkif.memory.Shape;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * The ONNX operations that operators are written in: each method emits one node (or reuses a
 * constant). All but {@link #own} are operations that the stock runtime has, standard opset {@value
 * OnnxWriter#OPSET} and {@code com.microsoft}.
 */
public final class Nodes {

  static final String STANDARD = "";
  static final String MICROSOFT = "com.microsoft";

  /** Of the operators of our own, in the library that {@code native/} builds for the runtime. */
  static final String OWN = "recurrentkif";

  /** An optional input that is not there. */
  private static final Value ABSENT = new Value("", false);

  private record ConstantKey(ElementType type, Shape shape, ByteBuffer data) {}

  private final List<Node> emitted = new ArrayList<>();
  private final Map<ConstantKey, Graph.Constant> constants = new LinkedHashMap<>();
  private boolean differentiable;
  private int counter;

  List<Node> emitted() {
    return emitted;
  }

  List<Graph.Constant> constants() {
    return List.copyOf(constants.values());
  }

  Value within(boolean resultsAreDifferentiable, Supplier<Value> emission) {
    differentiable = resultsAreDifferentiable;
    try {
      return emission.get();
    } finally {
      differentiable = false;
    }
  }

  private List<Value> emit(
      String domain, String type, int results, List<Value> inputs, Attribute... attributes) {
    List<Value> outputs = new ArrayList<>(results);
    for (int i = 0; i < results; i++) {
      outputs.add(new Value(type + "_" + counter++, differentiable));
    }
    emitted.add(new Node(type, domain, List.copyOf(inputs), outputs, List.of(attributes)));
    return outputs;
  }

  private Value standard(String type, List<Value> inputs, Attribute... attributes) {
    return emit(STANDARD, type, 1, inputs, attributes).getFirst();
  }

  /**
   * An operation of our own library: graphs with one run only where it is loaded.
   *
   * @param inputs null for an optional one that is absent
   */
  public List<Value> own(
      String type, int results, List<@Nullable Value> inputs, Attribute... attributes) {
    List<Value> present = new ArrayList<>(inputs.size());
    for (Value input : inputs) {
      present.add(input == null ? ABSENT : input);
    }
    return emit(OWN, type, results, present, attributes);
  }

  /**
   * The same where the results that nobody wants are not computed; the last one must be wanted.
   *
   * @param wanted one for each result
   */
  public List<Value> own(
      String type, List<Boolean> wanted, List<@Nullable Value> inputs, Attribute... attributes) {
    List<Value> results = own(type, wanted.size(), inputs, attributes);
    for (int i = 0; i < wanted.size(); i++) {
      if (!wanted.get(i)) {
        results.get(i).rename("");
      }
    }
    return results;
  }

  /**
   * {@code x / sqrt(mean(x*x) + epsilon) * scale} over the last axis, and the factors [rows, 1]
   * before the scale.
   */
  public List<Value> rmsNorm(Value x, Value scale, float epsilon) {
    return emit(
        STANDARD,
        "SimplifiedLayerNormalization",
        2,
        List.of(x, scale),
        Attribute.of("axis", -1),
        Attribute.of("epsilon", epsilon),
        Attribute.of("stash_type", 1));
  }

  // Constants

  public Value constant(float value) {
    return floats(Shape.of(), value);
  }

  public Value constant(long value) {
    return longs(Shape.of(), value);
  }

  /** A vector of integers: axes, shapes. */
  public Value vector(long... values) {
    return longs(Shape.of(values.length), values);
  }

  public Value floats(Shape shape, float... values) {
    byte[] data = new byte[4 * values.length];
    ByteBuffer.wrap(data).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().put(values);
    return constant(ElementType.FLOAT32, shape, data);
  }

  public Value longs(Shape shape, long... values) {
    byte[] data = new byte[8 * values.length];
    ByteBuffer.wrap(data).order(ByteOrder.LITTLE_ENDIAN).asLongBuffer().put(values);
    return constant(ElementType.INT64, shape, data);
  }

  private Value constant(ElementType type, Shape shape, byte[] data) {
    return constants
        .computeIfAbsent(
            new ConstantKey(type, shape, ByteBuffer.wrap(data)),
            key ->
                new Graph.Constant(
                    new Value("constant_" + constants.size(), false), type, shape, data))
        .value();
  }

  // Products of matrices

  /** {@code alpha * op(a) op(b)} over the last two axes. */
  public Value product(Value a, boolean transposeA, Value b, boolean transposeB, float alpha) {
    if (!transposeA && !transposeB && alpha == 1) {
      return standard("MatMul", List.of(a, b));
    }
    return emit(
            MICROSOFT,
            "FusedMatMul",
            1,
            List.of(a, b),
            Attribute.of("transA", transposeA ? 1 : 0),
            Attribute.of("transB", transposeB ? 1 : 0),
            Attribute.of("alpha", alpha))
        .getFirst();
  }

  public Value product(Value a, Value b) {
    return product(a, false, b, false, 1);
  }

  /** {@code alpha * op(a) op(b) + c} of matrices. */
  public Value productPlus(
      Value a, boolean transposeA, Value b, boolean transposeB, float alpha, Value c) {
    return standard(
        "Gemm",
        List.of(a, b, c),
        Attribute.of("transA", transposeA ? 1 : 0),
        Attribute.of("transB", transposeB ? 1 : 0),
        Attribute.of("alpha", alpha),
        Attribute.of("beta", 1f));
  }

  // Element by element, with broadcasting

  public Value add(Value a, Value b) {
    return standard("Add", List.of(a, b));
  }

  public Value subtract(Value a, Value b) {
    return standard("Sub", List.of(a, b));
  }

  public Value multiply(Value a, Value b) {
    return standard("Mul", List.of(a, b));
  }

  public Value relu(Value x) {
    return standard("Relu", List.of(x));
  }

  public Value sign(Value x) {
    return standard("Sign", List.of(x));
  }

  public Value tanh(Value x) {
    return standard("Tanh", List.of(x));
  }

  public Value sigmoid(Value x) {
    return standard("Sigmoid", List.of(x));
  }

  public Value log(Value x) {
    return standard("Log", List.of(x));
  }

  public Value squareRoot(Value x) {
    return standard("Sqrt", List.of(x));
  }

  public Value reciprocal(Value x) {
    return standard("Reciprocal", List.of(x));
  }

  public Value greater(Value a, Value b) {
    return standard("Greater", List.of(a, b));
  }

  public Value where(Value condition, Value a, Value b) {
    return standard("Where", List.of(condition, a, b));
  }

  /** The larger of both. */
  public Value maximum(Value a, Value b) {
    return standard("Max", List.of(a, b));
  }

  public Value clip(Value x, Value minimum, Value maximum) {
    return standard("Clip", List.of(x, minimum, maximum));
  }

  public Value castToFloat(Value x) {
    return cast(x, ElementType.FLOAT32);
  }

  /** Rounded to the nearest, ties to even. */
  public Value castToBfloat16(Value x) {
    return cast(x, ElementType.BFLOAT16);
  }

  private Value cast(Value x, ElementType type) {
    return standard("Cast", List.of(x), Attribute.of("to", type.code()));
  }

  public Value identity(Value x) {
    return standard("Identity", List.of(x));
  }

  // Reductions

  public Value softmax(Value x) {
    return standard("Softmax", List.of(x), Attribute.of("axis", -1));
  }

  public Value sum(Value x, boolean keepAxes, long... axes) {
    return standard(
        "ReduceSum", List.of(x, vector(axes)), Attribute.of("keepdims", keepAxes ? 1 : 0));
  }

  /** The sum of all elements, a scalar. */
  public Value sumOfAll(Value x) {
    return standard("ReduceSum", List.of(x), Attribute.of("keepdims", 0));
  }

  public Value meanOverLastAxis(Value x) {
    return standard(
        "ReduceMean", List.of(x), Attribute.ints("axes", -1L), Attribute.of("keepdims", 1));
  }

  public Value maximumOverLastAxis(Value x) {
    return standard(
        "ReduceMax", List.of(x), Attribute.ints("axes", -1L), Attribute.of("keepdims", 1));
  }

  /** The index of the largest element of the last axis, which is dropped. */
  public Value argmax(Value x) {
    return standard("ArgMax", List.of(x), Attribute.of("axis", -1), Attribute.of("keepdims", 0));
  }

  // Shapes and places

  public Value shapeOf(Value x) {
    return standard("Shape", List.of(x));
  }

  public Value reshape(Value x, Value shape) {
    return standard("Reshape", List.of(x, shape));
  }

  public Value transpose(Value x, Long... permutation) {
    return standard("Transpose", List.of(x), Attribute.ints("perm", permutation));
  }

  public Value unsqueeze(Value x, long... axes) {
    return standard("Unsqueeze", List.of(x, vector(axes)));
  }

  public Value concatenate(long axis, Value... parts) {
    return standard("Concat", List.of(parts), Attribute.of("axis", axis));
  }

  /**
   * x with zeros around it.
   *
   * @param counts how many before each axis, then how many behind each
   */
  public Value padded(Value x, long... counts) {
    return standard("Pad", List.of(x, vector(counts)));
  }

  /**
   * x cut in two along an axis.
   *
   * @param lengths of the two, a vector
   */
  public List<Value> split(long axis, Value x, Value lengths) {
    return emit(STANDARD, "Split", 2, List.of(x, lengths), Attribute.of("axis", axis));
  }

  /** Rows of the table, by index along its first axis. */
  public Value gather(Value table, Value indices) {
    return standard("Gather", List.of(table, indices), Attribute.of("axis", 0));
  }

  /** Slices of x, by index along an axis. */
  public Value gatherAlong(long axis, Value x, Value indices) {
    return standard("Gather", List.of(x, indices), Attribute.of("axis", axis));
  }

  /** 0, 1, 2, ... below a scalar limit. */
  public Value range(Value limit) {
    return standard("Range", List.of(constant(0L), limit, constant(1L)));
  }

  /** One element of each row: {@code x[i, indices[i, 0]]}. */
  public Value pickFromRows(Value x, Value indices) {
    return standard("GatherElements", List.of(x, indices), Attribute.of("axis", 1));
  }

  /** x with {@code x[i, indices[i, 0]] = updates[i, 0]}. */
  public Value placeIntoRows(Value x, Value indices, Value updates) {
    return standard("ScatterElements", List.of(x, indices, updates), Attribute.of("axis", 1));
  }

  /**
   * x with {@code updates[i, j]} added to {@code x[indices[i, j], j]}; repeated indices add up, in
   * order.
   */
  public Value addIntoRows(Value x, Value indices, Value updates) {
    return standard(
        "ScatterElements",
        List.of(x, indices, updates),
        Attribute.of("axis", 0),
        new Attribute.Text("reduction", "add"));
  }

  public Value zeros(Value shape) {
    return standard("ConstantOfShape", List.of(shape), new Attribute.Scalar("value", 0f));
  }

  public Value expand(Value x, Value shape) {
    return standard("Expand", List.of(x, shape));
  }

  /** [.., depth] with 1 at the index and 0 elsewhere. */
  public Value oneHot(Value indices, long depth) {
    return standard(
        "OneHot",
        List.of(indices, vector(depth), floats(Shape.of(2), 0f, 1f)),
        Attribute.of("axis", -1));
  }
}
