package io.github.recurrentkif.data;

import io.github.recurrentkif.kernels.RandomKey;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;

/**
 * Chooses the samples of a finished task that stay in the replay memory, as the reference release
 * does: a share of the task, spread evenly over its classes.
 *
 * <p>Of N samples with C distinct targets, n = floor(N * percent / 100) are wanted. From each
 * class, in the order the classes first appear in the file, max(1, floor(n / C)) samples (or all,
 * if it has fewer) are drawn at random without replacement. What is missing to n is drawn at random
 * from the rest of the task. With more classes than n the one sample per class is kept, although
 * that is more than n. Nothing is kept at 0 percent.
 */
public final class MemorySampler {

  private MemorySampler() {}

  /** The samples kept, in the order drawn: class by class, then the random rest. */
  public static List<Sample> draw(List<Sample> task, double percent, RandomKey key) {
    return Arrays.stream(drawRows(task, percent, key)).mapToObj(task::get).toList();
  }

  /**
   * The same choice as places in {@code task}.
   *
   * @param percent of the task, in [0, 100]
   * @param key used for nothing else; the same key draws the same samples
   */
  public static int[] drawRows(List<Sample> task, double percent, RandomKey key) {
    if (!(percent >= 0 && percent <= 100)) {
      throw new IllegalArgumentException("a memory share lies in [0, 100] percent: " + percent);
    }
    if (percent == 0 || task.isEmpty()) {
      return new int[0];
    }
    int wanted = (int) (task.size() * percent / 100);
    SequencedMap<String, List<Integer>> classes = new LinkedHashMap<>();
    for (int row = 0; row < task.size(); row++) {
      classes.computeIfAbsent(task.get(row).target(), target -> new ArrayList<>()).add(row);
    }
    int quota = Math.max(1, wanted / classes.size());

    int[] drawn = new int[task.size()];
    int count = 0;
    BitSet rest = new BitSet(task.size());
    rest.set(0, task.size());
    int place = 0;
    for (List<Integer> members : classes.values()) {
      int[] order = Shuffle.permutation(key.at(place++), members.size());
      for (int i = 0; i < Math.min(quota, members.size()); i++) {
        int row = members.get(order[i]);
        drawn[count++] = row;
        rest.clear(row);
      }
    }
    int[] others = rest.stream().toArray();
    int[] order = Shuffle.permutation(key.at(place), others.length);
    for (int i = 0; count < wanted; i++) {
      drawn[count++] = others[order[i]];
    }
    return Arrays.copyOf(drawn, count);
  }
}
