package io.github.recurrentkif.data.world;

import io.github.recurrentkif.kernels.RandomKey;
import java.util.ArrayList;
import java.util.List;

/** Random choices one after another; all of them follow from one key. */
final class Draw {

  private final RandomKey key;
  private long count;

  Draw(RandomKey key) {
    this.key = key;
  }

  /** A whole number from 0 to n - 1. */
  int below(int n) {
    return key.at(count++).below(n);
  }

  /** True in so many of a hundred cases. */
  boolean percent(int chance) {
    return below(100) < chance;
  }

  <T> T of(List<T> choices) {
    return choices.get(below(choices.size()));
  }

  /** One of the choices that is not {@code taken}; there must be two different ones. */
  <T> T otherThan(T taken, List<T> choices) {
    T chosen = of(choices);
    while (chosen.equals(taken)) {
      chosen = of(choices);
    }
    return chosen;
  }

  /** Different choices in random order. */
  <T> List<T> several(int n, List<T> choices) {
    List<T> left = new ArrayList<>(choices);
    List<T> chosen = new ArrayList<>(n);
    for (int i = 0; i < n; i++) {
      chosen.add(left.remove(below(left.size())));
    }
    return chosen;
  }
}
