package io.github.recurrentkif.graph;

/** The result of a node, an input, a parameter or a constant of a {@link Graph}. */
public final class Value {

  private String name;
  private final boolean differentiable;
  private final boolean bfloat16;

  Value(String name, boolean differentiable) {
    this(name, differentiable, false);
  }

  Value(String name, boolean differentiable, boolean bfloat16) {
    this.name = name;
    this.differentiable = differentiable;
    this.bfloat16 = bfloat16;
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

  /** Whether this is a frozen parameter in bfloat16, of which operators make float32. */
  public boolean bfloat16() {
    return bfloat16;
  }

  void rename(String newName) {
    name = newName;
  }

  @Override
  public String toString() {
    return name;
  }
}
