package io.github.recurrentkif.model;

import io.github.recurrentkif.graph.Graph;
import io.github.recurrentkif.graph.Nodes;
import io.github.recurrentkif.graph.Value;
import io.github.recurrentkif.graph.operators.Precision;
import java.util.List;
import java.util.Optional;

/** The graphs of one model with one choice of what is trained. Each call writes one anew. */
sealed interface ModelGraphs permits T5Graphs, LlamaGraphs {

  static ModelGraphs of(ModelConfig config, Trainables trainables) {
    return switch (config) {
      case T5Config t5 -> new T5Graphs(t5, trainables);
      case LlamaConfig llama -> new LlamaGraphs(llama, trainables);
    };
  }

  /** From [batch, length, heads, width] to [batch, heads, length, width], and back. */
  static Value headsFirst(Nodes nodes, Value heads) {
    return nodes.transpose(heads, 0L, 2L, 1L, 3L);
  }

  /**
   * Rows that are ready for the head.
   *
   * @param labelledOnly whether logits are taken only of the rows that are asked for
   */
  record Answering(Value rows, TokenRows.Head head, boolean labelledOnly) {}

  /**
   * The forward pass over the rows.
   *
   * @param before whether a pool of prompts takes part as it was before
   */
  Answering answering(Graph graph, TokenRows rows, boolean before);

  /** For greedy decoding: padded rows, on the stock runtime. */
  List<ModelGraph> decoding(Precision precision);

  /** The same over packed rows, on operators of our own; for a backbone that is not trained. */
  List<ModelGraph> packedDecoding(Precision precision);

  /** Loss, gradients of all trainables, and logits, of one padded micro-batch. */
  default ModelGraph training(boolean dropout, Precision precision) {
    Graph graph = new Graph();
    return learned("training_model", graph, new PaddedRows(graph, dropout, precision));
  }

  /** The same of a whole update, packed; losses token by token, no logits. */
  default ModelGraph packedTraining(boolean dropout, Precision precision) {
    Graph graph = new Graph();
    return learned("packed_training_model", graph, packedRows(graph, dropout, precision));
  }

  /** The rows of {@link #packedTraining}. */
  default PackedRows packedRows(Graph graph, boolean dropout, Precision precision) {
    return PackedRows.learning(graph, dropout, precision);
  }

  /**
   * {@link #packedTraining} in another way, which costs less where answers are short beside their
   * texts; the same but for rounding. Empty where there is none.
   */
  default Optional<ModelGraph> packedTrainingOfShortAnswers(boolean dropout, Precision precision) {
    return Optional.empty();
  }

  /**
   * Of one padded micro-batch, how far the answers of a pool of prompts have gone from those that
   * it gave before, and the gradients of that.
   */
  default ModelGraph holding(boolean dropout, Precision precision) {
    Graph graph = new Graph();
    PaddedRows rows = new PaddedRows(graph, dropout, precision);
    Answering now = answering(graph, rows, false);
    rows.hold(now, rows.still(() -> answering(graph, rows, true).rows()));
    return new ModelGraph("holding_model", graph, rows.dropoutPlaces());
  }

  private ModelGraph learned(String name, Graph graph, TokenRows rows) {
    return learned(name, graph, rows, answering(graph, rows, false));
  }

  /** Loss and gradients of a forward pass over the rows. */
  static ModelGraph learned(String name, Graph graph, TokenRows rows, Answering answering) {
    rows.learn(answering.rows(), answering.head(), answering.labelledOnly());
    return new ModelGraph(name, graph, rows.dropoutPlaces());
  }
}
