package io.github.recurrentkif.graph.operators;

import io.github.recurrentkif.graph.Gradients;
import io.github.recurrentkif.graph.Nodes;
import io.github.recurrentkif.graph.Operator;
import io.github.recurrentkif.graph.Value;
import java.util.List;

/**
 * The bias that attention scores get by the bucket of the distance between query and key (Raffel et
 * al., 2020): table [buckets, heads], bucket ids [queries, keys], result [1, heads, queries, keys].
 */
public final class RelativePositionBias implements Operator {

  private final Value table;
  private final Value bucketIds;
  private final long buckets;
  private final long heads;

  public RelativePositionBias(Value table, Value bucketIds, long buckets, long heads) {
    this.table = table;
    this.bucketIds = bucketIds;
    this.buckets = buckets;
    this.heads = heads;
  }

  @Override
  public List<Value> inputs() {
    return List.of(table);
  }

  @Override
  public Value forward(Nodes nodes) {
    Value byPair = nodes.gather(table, bucketIds);
    return nodes.unsqueeze(nodes.transpose(byPair, 2L, 0L, 1L), 0);
  }

  @Override
  public void backward(Nodes nodes, Value dy, Gradients gradients) {
    Value pairs = nodes.reshape(bucketIds, nodes.vector(-1));
    Value byHead = nodes.reshape(dy, nodes.vector(heads, -1));
    gradients.addProduct(table, nodes.oneHot(pairs, buckets), true, byHead, true, 1);
  }
}
