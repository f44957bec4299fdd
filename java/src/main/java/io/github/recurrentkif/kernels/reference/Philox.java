package io.github.recurrentkif.kernels.reference;

/**
 * The counter-based random generator Philox 4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel
 * random numbers: as easy as 1, 2, 3" (SC 2011): a bijection of 128-bit counters chosen by a 64-bit
 * key.
 */
public final class Philox {

  private static final int ROUNDS = 10;
  private static final int MULTIPLIER_0 = 0xD2511F53;
  private static final int MULTIPLIER_2 = 0xCD9E8D57;
  // The golden ratio and the square root of 3, minus 1, as fractions of 2^32.
  private static final int WEYL_0 = 0x9E3779B9;
  private static final int WEYL_1 = 0xBB67AE85;

  private Philox() {}

  /**
   * Replaces the four words of a counter, least significant first, by four random words.
   *
   * @param key the lower half is the first key word
   */
  public static void randomize(int[] counter, long key) {
    int key0 = (int) key;
    int key1 = (int) (key >>> 32);
    int x0 = counter[0];
    int x1 = counter[1];
    int x2 = counter[2];
    int x3 = counter[3];
    for (int round = 0; round < ROUNDS; round++) {
      long product0 = Integer.toUnsignedLong(MULTIPLIER_0) * Integer.toUnsignedLong(x0);
      long product2 = Integer.toUnsignedLong(MULTIPLIER_2) * Integer.toUnsignedLong(x2);
      x0 = (int) (product2 >>> 32) ^ x1 ^ key0;
      x1 = (int) product2;
      x2 = (int) (product0 >>> 32) ^ x3 ^ key1;
      x3 = (int) product0;
      key0 += WEYL_0;
      key1 += WEYL_1;
    }
    counter[0] = x0;
    counter[1] = x1;
    counter[2] = x2;
    counter[3] = x3;
  }
}
