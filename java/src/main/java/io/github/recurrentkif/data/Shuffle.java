package io.github.recurrentkif.data;

import io.github.recurrentkif.kernels.RandomKey;

/**
 * Random orders that follow from a key alone: nothing is drawn from a state, so the order of any
 * epoch or task can be had again without replaying what came before.
 */
public final class Shuffle {

  private Shuffle() {}

  /**
   * A random order of 0 to n - 1: the Fisher-Yates shuffle (Durstenfeld 1964), whose i-th draw is
   * that of {@code key.at(i)} among the numbers still in play.
   *
   * @param key used for nothing else
   * @param n not negative
   */
  public static int[] permutation(RandomKey key, int n) {
    int[] order = new int[n];
    for (int i = 0; i < n; i++) {
      order[i] = i;
    }
    for (int last = n - 1; last > 0; last--) {
      int chosen = key.at(last).below(last + 1);
      int swapped = order[last];
      order[last] = order[chosen];
      order[chosen] = swapped;
    }
    return order;
  }
}
