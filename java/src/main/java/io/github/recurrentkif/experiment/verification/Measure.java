package io.github.recurrentkif.experiment.verification;

/**
 * The largest deviation of one quantity, and how large it may be.
 *
 * @param name for people: what was compared, and in which unit
 * @param where the largest deviation stands
 */
public record Measure(String name, double deviation, double limit, String where) {

  public boolean holds() {
    // Written so that NaN does not hold.
    return deviation <= limit;
  }

  /** Gathers the largest deviation of one quantity. */
  static final class Gatherer {

    private final String name;
    private final double limit;
    private double largest;
    private String where = "";

    Gatherer(String name, double limit) {
      this.name = name;
      this.limit = limit;
    }

    void add(double deviation, String place) {
      // Not a number is the largest of all.
      if (!Double.isNaN(largest) && !(deviation <= largest)) {
        largest = deviation;
        where = place;
      }
    }

    void addAbsolute(double expected, double found, String place) {
      add(Math.abs(expected - found), place);
    }

    void addRelative(double expected, double found, String place) {
      add(Math.abs(expected - found) / Math.max(Math.abs(expected), Double.MIN_NORMAL), place);
    }

    double largest() {
      return largest;
    }

    Measure measure() {
      return new Measure(name, largest, limit, where);
    }
  }
}
