package io.github.recurrentkif.training;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * The tokens that the rows of a batch have been given so far. Rows that have ended leave the batch:
 * the last one that still runs moves into their slot, so that running rows are always the first.
 */
final class Answers {

  private static final int FIRST_CAPACITY = 16;

  /** Moves what belongs to a row from one slot of the batch to another. */
  @FunctionalInterface
  interface Move {
    void row(int from, int to);
  }

  private final List<Integer> endTokens;
  private final long[][] tokens;
  private final int[] lengths;

  /** Which row is in a slot. */
  private final int[] rows;

  private int running;

  Answers(int rows, List<Integer> endTokens) {
    this.endTokens = endTokens;
    this.tokens = new long[rows][FIRST_CAPACITY];
    this.lengths = new int[rows];
    this.rows = new int[rows];
    Arrays.setAll(this.rows, row -> row);
    this.running = rows;
  }

  /**
   * Takes one more token for every running row.
   *
   * @param next by slot
   * @param move called for each row that takes over the slot of an ended one
   * @return the tokens of the rows that still run, by slot
   */
  long[] take(long[] next, Move move) {
    // From behind: a row that moves has been looked at.
    for (int slot = running - 1; slot >= 0; slot--) {
      if (append(rows[slot], next[slot])) {
        int last = --running;
        if (slot != last) {
          rows[slot] = rows[last];
          next[slot] = next[last];
          move.row(last, slot);
        }
      }
    }
    return Arrays.copyOf(next, running);
  }

  /** Takes one more token of a row, whatever slot it is in; whether the row ends with it. */
  boolean append(int row, long token) {
    if (lengths[row] == tokens[row].length) {
      tokens[row] = Arrays.copyOf(tokens[row], 2 * lengths[row]);
    }
    tokens[row][lengths[row]++] = token;
    return endTokens.contains((int) token);
  }

  /** Rows that have not ended. */
  int running() {
    return running;
  }

  List<long[]> rows() {
    List<long[]> rows = new ArrayList<>(tokens.length);
    for (int row = 0; row < tokens.length; row++) {
      rows.add(Arrays.copyOf(tokens[row], lengths[row]));
    }
    return rows;
  }
}
