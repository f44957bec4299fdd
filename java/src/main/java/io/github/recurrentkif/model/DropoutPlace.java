package io.github.recurrentkif.model;

/**
 * One dropout of a model: the graph input that carries its mask, and what the mask covers.
 *
 * @param index the place in the random stream; the order of the forward pass
 */
public record DropoutPlace(int index, String input, double probability, Extent extent) {

  /** Which sequence a dimension runs along. */
  public enum Side {
    SOURCE,
    TARGET
  }

  /** The shape of a mask: planes, rows and columns as {@code DropoutMask} counts them. */
  public sealed interface Extent {}

  /** [batch, length of the side, width]. */
  public record Rows(Side side, int width) implements Extent {}

  /** [batch*heads, length of the query side, length of the key side]. */
  public record Pairs(int heads, Side queries, Side keys) implements Extent {}
}
