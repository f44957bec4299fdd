package io.github.recurrentkif.data;

import io.github.recurrentkif.kernels.RandomKey;

/** Random orders that follow from a key alone. */
public final class Shuffle {

  private Shuffle() {}

  /** A permutation of 0 to n-1, by Fisher and Yates. */
  public static int[] permutation(RandomKey key, int n) {
    int[] order = new int[n];
    for (int i = 0; i < n; i++) {
      // A draw from 64 bits by remainder is biased by less than n * 2^-63.
      int j = (int) ((key.at(i).bits() >>> 1) % (i + 1));
      order[i] = order[j];
      order[j] = i;
    }
    return order;
  }
}
