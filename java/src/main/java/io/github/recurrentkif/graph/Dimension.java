package io.github.recurrentkif.graph;

/**
 * One extent of a graph's input or output: a number, or a symbol that gets its value when the graph
 * is run.
 */
public sealed interface Dimension {

  record Fixed(long size) implements Dimension {}

  record Symbol(String name) implements Dimension {}

  static Dimension of(long size) {
    return new Fixed(size);
  }

  static Dimension of(String symbol) {
    return new Symbol(symbol);
  }
}
