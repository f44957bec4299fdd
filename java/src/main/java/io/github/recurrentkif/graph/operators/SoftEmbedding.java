package io.github.recurrentkif.graph.operators;

import io.github.recurrentkif.graph.Gradients;
import io.github.recurrentkif.graph.Nodes;
import io.github.recurrentkif.graph.Operator;
import io.github.recurrentkif.graph.Value;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Rows of two tables, by id: those from 0 of a frozen table [vocabulary, width], those from
 * vocabulary of a trained one [count, width]; ids [rows], result [rows, width].
 *
 * <p>With S [rows, count], 1 where a row has that vector of the trained table: the gradient of the
 * trained table is {@code S^T dy}.
 */
public final class SoftEmbedding implements Operator {

  private final Value ids;
  private final Value frozen;
  private final long vocabulary;
  private final Value trained;
  private final long count;
  private @Nullable Value places;

  public SoftEmbedding(Value ids, Value frozen, long vocabulary, Value trained, long count) {
    this.ids = ids;
    this.frozen = frozen;
    this.vocabulary = vocabulary;
    this.trained = trained;
    this.count = count;
  }

  @Override
  public List<Value> inputs() {
    return List.of(trained);
  }

  @Override
  public Value forward(Nodes nodes) {
    Value first = nodes.constant(vocabulary);
    Value soft = nodes.greater(ids, nodes.constant(vocabulary - 1));
    // One past the last index is nowhere: a row of zeros.
    Value index = nodes.where(soft, nodes.subtract(ids, first), nodes.constant(count));
    places = nodes.oneHot(index, count);
    Value hard = nodes.subtract(nodes.constant(1f), nodes.castToFloat(soft));
    Value id = nodes.clip(ids, nodes.constant(0L), nodes.constant(vocabulary - 1));
    Value plain = nodes.multiply(Embedding.rows(nodes, frozen, id), nodes.unsqueeze(hard, 1));
    return nodes.add(plain, nodes.product(places, trained));
  }

  @Override
  public void backward(Nodes nodes, Value dy, Gradients gradients) {
    if (places == null) {
      throw new IllegalStateException("backward before forward");
    }
    gradients.addProduct(trained, places, true, dy, false, 1);
  }
}
