package io.github.recurrentkif.experiment;

import java.util.Collection;
import java.util.Comparator;

/** Guesses which name somebody meant. */
public final class Spelling {

  private Spelling() {}

  /** The known name with the fewest edits to the one typed; the first of several. */
  public static String nearest(String typed, Collection<String> known) {
    return known.stream().min(Comparator.comparingInt(name -> distance(name, typed))).orElseThrow();
  }

  /** Edits between two names (Levenshtein, 1966). */
  private static int distance(String a, String b) {
    int[] previous = new int[b.length() + 1];
    for (int j = 0; j <= b.length(); j++) {
      previous[j] = j;
    }
    for (int i = 1; i <= a.length(); i++) {
      int[] current = new int[b.length() + 1];
      current[0] = i;
      for (int j = 1; j <= b.length(); j++) {
        int replaced = previous[j - 1] + (a.charAt(i - 1) == b.charAt(j - 1) ? 0 : 1);
        current[j] = Math.min(replaced, 1 + Math.min(previous[j], current[j - 1]));
      }
      previous = current;
    }
    return previous[b.length()];
  }
}
