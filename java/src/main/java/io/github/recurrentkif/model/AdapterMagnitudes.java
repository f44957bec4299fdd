package io.github.recurrentkif.model;

import io.github.recurrentkif.graph.Dimension;
import io.github.recurrentkif.graph.ElementType;
import io.github.recurrentkif.graph.Graph;
import io.github.recurrentkif.graph.Nodes;
import io.github.recurrentkif.graph.Value;
import io.github.recurrentkif.model.DropoutPlace.Side;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * How large the outputs of the adapters' matrices are, as further outputs of a training graph: for
 * each A the sums over tokens of {@code |x A^T|}, [rank], for each B those of {@code |x A^T B^T|},
 * [outputs]; x without dropout.
 */
public final class AdapterMagnitudes {

  private record Observed(String module, Value x, Side side, Value a, Value b, int outputs) {}

  private final List<Observed> all = new ArrayList<>();
  private int rank;

  AdapterMagnitudes() {}

  /** The output that says it of a matrix of an adapter. */
  public static String outputName(String parameter) {
    return "magnitude/" + parameter;
  }

  void add(String module, Value x, Side side, Value a, Value b, int adapterRank, int outputs) {
    rank = adapterRank;
    all.add(new Observed(module, x, side, a, b, outputs));
  }

  /**
   * Writes the outputs.
   *
   * @param counted of the rows of a side, [rows, 1] with 1 where there is a token and 0 at padding;
   *     null if all are tokens
   */
  void write(Graph graph, Function<Side, @Nullable Value> counted) {
    Nodes nodes = graph.nodes();
    for (Observed one : all) {
      Value rows = counted.apply(one.side);
      Value t = nodes.product(one.x, false, one.a, true, 1);
      Value u = nodes.product(t, false, one.b, true, 1);
      output(graph, one.module + ".lora_A.weight", sum(nodes, t, rows), rank);
      output(graph, one.module + ".lora_B.weight", sum(nodes, u, rows), one.outputs);
    }
  }

  private static Value sum(Nodes nodes, Value x, @Nullable Value counted) {
    Value magnitude = nodes.multiply(x, nodes.sign(x));
    return nodes.sum(counted == null ? magnitude : nodes.multiply(magnitude, counted), false, 0);
  }

  private static void output(Graph graph, String parameter, Value value, int width) {
    graph.output(value, outputName(parameter), ElementType.FLOAT32, Dimension.of(width));
  }
}
