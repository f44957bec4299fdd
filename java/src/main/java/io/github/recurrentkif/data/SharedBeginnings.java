package io.github.recurrentkif.data;

import io.github.recurrentkif.data.PackedSequences.Sequence;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.ToIntFunction;

/**
 * The tokens of sequences as a tree: what several of them begin with, such as a task's instruction,
 * is there once. In a model where a token attends only to those before it, and that drops nothing,
 * its row depends on no more than those, and one row serves all sequences that have it.
 *
 * <p>A node is a run of tokens; those of the nodes above it come before.
 */
public final class SharedBeginnings {

  /** What is shared by several but shorter is not worth a node. */
  private static final int LEAST = 8;

  /**
   * Tokens [from, to) of a sequence.
   *
   * @param row of the first
   * @param above rows of all tokens before them, the first first
   */
  private record Node(Sequence sequence, int from, int to, int row, long[] above) {

    long[] throughHere() {
      long[] rows = Arrays.copyOf(above, above.length + to - from);
      for (int i = above.length; i < rows.length; i++) {
        rows[i] = (long) row + i - above.length;
      }
      return rows;
    }
  }

  private final PackedSequences packed;
  private final Map<Sequence, Integer> mostShared = new HashMap<>();
  private final List<Node> nodes = new ArrayList<>();
  private final Map<Sequence, Node> ends = new HashMap<>();
  private int tokens;

  /**
   * @param mostShared of a sequence, how many of its first tokens others may have in common with
   *     it; fewer than all
   */
  public SharedBeginnings(PackedSequences packed, ToIntFunction<Sequence> mostShared) {
    this.packed = packed;
    packed.sequences().forEach(s -> this.mostShared.put(s, mostShared.applyAsInt(s)));
    grow(packed.sequences(), 0, new long[0]);
  }

  /**
   * @param from where the tokens begin that no node has yet
   */
  private void grow(Collection<Sequence> sequences, int from, long[] above) {
    Sequence first = sequences.iterator().next();
    if (sequences.size() == 1) {
      ends.put(first, add(first, from, first.length(), above));
      return;
    }
    int common = common(sequences, first);
    boolean shares = common - from >= LEAST;
    int begin = shares ? common : from;
    long[] rows = shares ? add(first, from, common, above).throughHere() : above;
    Map<Long, List<Sequence>> byNext = new LinkedHashMap<>();
    for (Sequence sequence : sequences) {
      if (mostShared(sequence) == common) {
        grow(List.of(sequence), begin, rows);
      } else {
        byNext.computeIfAbsent(token(sequence, common), _ -> new ArrayList<>()).add(sequence);
      }
    }
    byNext.values().forEach(alike -> grow(alike, begin, rows));
  }

  private int common(Collection<Sequence> sequences, Sequence first) {
    int common = mostShared(first);
    for (Sequence sequence : sequences) {
      int most = Math.min(common, mostShared(sequence));
      common = 0;
      while (common < most && token(sequence, common) == token(first, common)) {
        common++;
      }
    }
    return common;
  }

  private int mostShared(Sequence sequence) {
    return Objects.requireNonNull(mostShared.get(sequence));
  }

  private Node add(Sequence sequence, int from, int to, long[] above) {
    Node node = new Node(sequence, from, to, tokens, above);
    nodes.add(node);
    tokens += to - from;
    return node;
  }

  private long token(Sequence sequence, int position) {
    Batch batch = packed.batchOf(sequence);
    return batch.inputIds()[sequence.row() * batch.sourceLength() + sequence.first() + position];
  }

  /** How many there are, those that are shared counted once. */
  public int tokens() {
    return tokens;
  }

  /** The token ids, node behind node, [tokens]. */
  public long[] ids() {
    long[] ids = new long[tokens];
    for (Node node : nodes) {
      for (int i = node.from(); i < node.to(); i++) {
        ids[node.row() + i - node.from()] = token(node.sequence(), i);
      }
    }
    return ids;
  }

  /** The position of every token in its sequence, [tokens]. */
  public long[] positions() {
    long[] positions = new long[tokens];
    for (Node node : nodes) {
      for (int i = node.from(); i < node.to(); i++) {
        positions[node.row() + i - node.from()] = i;
      }
    }
    return positions;
  }

  /** Where each node begins among the tokens, and the end of the last, [nodes + 1]. */
  public long[] offsets() {
    return PackedSequences.offsets(
        nodes.stream().mapToInt(node -> node.to() - node.from()).toArray());
  }

  /** The rows before those of each node, node behind node. */
  public long[] rowsAbove() {
    return nodes.stream().flatMapToLong(node -> Arrays.stream(node.above())).toArray();
  }

  /** Where those of each node begin among {@link #rowsAbove}, and the end of the last. */
  public long[] offsetsAbove() {
    return PackedSequences.offsets(nodes.stream().mapToInt(node -> node.above().length).toArray());
  }

  /** The row of a token of a sequence that it shares with no other. */
  public int row(Sequence sequence, int position) {
    Node end = ends.get(sequence);
    if (end == null || position < end.from() || position >= end.to()) {
      throw new IllegalArgumentException(
          "token %d of %s has no row of its own".formatted(position, sequence));
    }
    return end.row() + position - end.from();
  }
}
