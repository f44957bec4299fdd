package io.github.recurrentkif.graph.operators;

import io.github.recurrentkif.graph.Gradients;
import io.github.recurrentkif.graph.Nodes;
import io.github.recurrentkif.graph.Operator;
import io.github.recurrentkif.graph.Value;
import java.util.List;

/**
 * Rows of a table, by id: ids [rows], table [vocabulary, width], result [rows, width].
 *
 * <p>The gradient of a table row is the sum over the places where its id stands, added up in order
 * of the places.
 */
public final class Embedding implements Operator {

  private final Value ids;
  private final Value table;

  public Embedding(Value ids, Value table) {
    this.ids = ids;
    this.table = table;
  }

  @Override
  public List<Value> inputs() {
    return List.of(table);
  }

  @Override
  public Value forward(Nodes nodes) {
    return nodes.gather(table, ids);
  }

  @Override
  public void backward(Nodes nodes, Value dy, Gradients gradients) {
    if (gradients.needs(table)) {
      Value everyColumn = nodes.expand(nodes.unsqueeze(ids, 1), nodes.shapeOf(dy));
      Value zeros = nodes.zeros(nodes.shapeOf(table));
      gradients.add(table, nodes.addIntoRows(zeros, everyColumn, dy));
    }
  }
}
