package io.github.recurrentkif.model;

/**
 * T5's buckets of relative positions (Raffel et al., 2020, section 2.1): small distances have a
 * bucket each, larger ones share buckets that widen logarithmically, and from the maximum distance
 * on all share the last.
 */
final class RelativePositions {

  private RelativePositions() {}

  /**
   * The bucket of every distance (key minus query) from {@code -maximumDistance} to {@code
   * maximumDistance}; farther ones fall into the outermost buckets.
   *
   * @param bidirectional whether keys behind the query have buckets of their own, or count as
   *     distance 0
   */
  static long[] bucketsByDistance(int buckets, int maximumDistance, boolean bidirectional) {
    long[] table = new long[2 * maximumDistance + 1];
    for (int distance = -maximumDistance; distance <= maximumDistance; distance++) {
      table[distance + maximumDistance] =
          bidirectional
              ? (distance > 0 ? buckets / 2 : 0)
                  + bucket(Math.abs(distance), buckets / 2, maximumDistance)
              : bucket(Math.max(-distance, 0), buckets, maximumDistance);
    }
    return table;
  }

  private static long bucket(int distance, int buckets, int maximumDistance) {
    int exact = buckets / 2;
    if (distance < exact) {
      return distance;
    }
    // In float32, as the original: the edges of the buckets depend on the rounding.
    float position =
        (float) Math.log((float) distance / exact)
            / (float) Math.log((double) maximumDistance / exact)
            * (buckets - exact);
    return Math.min(exact + (long) position, buckets - 1L);
  }
}
