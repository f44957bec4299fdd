package io.github.recurrentkif.graph;

/** The result of a node, an input, a parameter or a constant of a {@link Graph}. */
public final class Value {

  private String name;
  private final boolean differentiable;

  Value(String name, boolean differentiable) {
    this.name = name;
    this.differentiable = differentiable;
  }

  public String name() {
    return name;
  }

  /**
   * Whether a trainable parameter lies behind this value, so that reverse mode has to pass through
   * it.
   */
  public boolean differentiable() {
    return differentiable;
  }

  void rename(String newName) {
    name = newName;
  }

  @Override
  public String toString() {
    return name;
  }
}
