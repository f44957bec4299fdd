package io.github.recurrentkif.training;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** The tokens that the rows of a batch have been given so far, and which rows have ended. */
final class Answers {

  private final List<Integer> endTokens;
  private final long padToken;
  private final long[][] tokens;
  private final int[] lengths;
  private final boolean[] ended;
  private int running;

  Answers(int rows, int maximumTokens, List<Integer> endTokens, long padToken) {
    this.endTokens = endTokens;
    this.padToken = padToken;
    this.tokens = new long[rows][maximumTokens];
    this.lengths = new int[rows];
    this.ended = new boolean[rows];
    this.running = rows;
  }

  /** Takes one more token for every row; what a row that has ended is given becomes padding. */
  void take(long[] next) {
    for (int row = 0; row < next.length; row++) {
      if (ended[row]) {
        next[row] = padToken;
        continue;
      }
      tokens[row][lengths[row]++] = next[row];
      if (endTokens.contains((int) next[row])) {
        ended[row] = true;
        running--;
      }
    }
  }

  boolean allEnded() {
    return running == 0;
  }

  List<long[]> rows() {
    List<long[]> rows = new ArrayList<>(tokens.length);
    for (int row = 0; row < tokens.length; row++) {
      rows.add(Arrays.copyOf(tokens[row], lengths[row]));
    }
    return rows;
  }
}
