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
    return rows(nodes, table, ids);
  }

  /** Rows of a table as float32, whatever it is kept in. */
  static Value rows(Nodes nodes, Value table, Value ids) {
    Value rows = nodes.gather(table, ids);
    return table.bfloat16() ? nodes.castToFloat(rows) : rows;
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
