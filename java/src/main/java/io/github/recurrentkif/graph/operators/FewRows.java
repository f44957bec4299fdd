package io.github.recurrentkif.graph.operators;

/** In which order products of at most 16 rows with a frozen weight add up. */
public enum FewRows {
  /**
   * In that of many rows: what a row gives does not depend on how an update is dealt out to passes.
   */
  AS_MANY("packed"),
  /**
   * As dots of rows, at the speed of the memory: what a row gives does not depend on which of a few
   * are beside it.
   */
  AS_DOTS("dots");

  private final String attribute;

  FewRows(String attribute) {
    this.attribute = attribute;
  }

  String attribute() {
    return attribute;
  }
}
