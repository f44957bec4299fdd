package io.github.recurrentkif.runtime;

import io.github.recurrentkif.memory.Shape;
import java.util.List;
import java.util.StringJoiner;

/**
 * What a model declares of an input or output.
 *
 * @param elementType of every element
 * @param dimensions extents, outermost first; {@value #UNKNOWN} where the model leaves them open
 * @param symbols one per dimension: the name an open dimension has, empty where it has none; the
 *     same name is the same extent in all inputs and outputs of a run
 */
public record TensorType(ElementType elementType, List<Long> dimensions, List<String> symbols) {

  /** The extent of a dimension that the model leaves open. */
  public static final long UNKNOWN = -1;

  public TensorType {
    dimensions = List.copyOf(dimensions);
    symbols = List.copyOf(symbols);
    if (dimensions.size() != symbols.size()) {
      throw new IllegalArgumentException(
          dimensions.size() + " dimensions but " + symbols.size() + " symbols");
    }
  }

  /**
   * Whether a tensor of this shape may stand here, as far as this declaration alone tells. A {@code
   * [1]} is no scalar: ONNX Runtime would take it in silence.
   */
  boolean admits(Shape shape) {
    if (shape.rank() != dimensions.size()) {
      return false;
    }
    for (int axis = 0; axis < shape.rank(); axis++) {
      long declared = dimensions.get(axis);
      if (declared != UNKNOWN && declared != shape.dimension(axis)) {
        return false;
      }
    }
    return true;
  }

  /** For people: {@code float32[batch, ?, 8]}. */
  @Override
  public String toString() {
    StringJoiner text = new StringJoiner(", ", elementType + "[", "]");
    for (int axis = 0; axis < dimensions.size(); axis++) {
      long declared = dimensions.get(axis);
      String symbol = symbols.get(axis);
      text.add(declared != UNKNOWN ? Long.toString(declared) : symbol.isEmpty() ? "?" : symbol);
    }
    return text.toString();
  }
}
