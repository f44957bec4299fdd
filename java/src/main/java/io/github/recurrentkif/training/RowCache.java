package io.github.recurrentkif.training;

import io.github.recurrentkif.runtime.Binding;
import io.github.recurrentkif.runtime.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/**
 * Keys and values of all layers, or what else there is a row of for every token, in the order in
 * which they were computed: for each a tensor [rows, width]. A model writes new rows right behind
 * those that are there, so that nothing is copied when a row is added.
 */
final class RowCache implements AutoCloseable {

  private static final long CACHE_LINE = 64;

  private final List<String> names;
  private final long width;
  private final List<MemorySegment> memories = new ArrayList<>();
  private Arena arena = Arena.ofShared();
  private long capacity;
  private int rows;

  RowCache(List<String> names, long width) {
    this.names = names;
    this.width = width;
    names.forEach(_ -> memories.add(MemorySegment.NULL));
  }

  static RowCache ofKeysAndValues(int layers, long width) {
    List<String> names = new ArrayList<>();
    for (int layer = 0; layer < layers; layer++) {
      names.add("key." + layer);
      names.add("value." + layer);
    }
    return new RowCache(names, width);
  }

  /** Forgets all rows. */
  void clear() {
    rows = 0;
  }

  /** Rows that are there. */
  int rows() {
    return rows;
  }

  /**
   * Has a model read the rows that are there and write the next ones behind them. What it reads is
   * all the memory there is, so that it is bound anew only when that grows.
   *
   * @param read what the names of its inputs begin with
   * @param write what those of its outputs begin with
   */
  void bind(Binding binding, String read, String write, int added) {
    reserve((long) rows + added);
    for (int i = 0; i < names.size(); i++) {
      binding.bindInput(read + names.get(i), tensor(i, 0, capacity));
      binding.bindOutput(write + names.get(i), tensor(i, rows, added));
    }
  }

  /** Has a model read all rows. */
  void bindInput(Binding binding, String prefix) {
    for (int i = 0; i < names.size(); i++) {
      binding.bindInput(prefix + names.get(i), tensor(i, 0, rows));
    }
  }

  /** Has a model write the only rows. */
  void bindOutput(Binding binding, String prefix, int count) {
    clear();
    reserve(count);
    for (int i = 0; i < names.size(); i++) {
      binding.bindOutput(prefix + names.get(i), tensor(i, 0, count));
    }
  }

  /** What was to be written has been. */
  void added(int count) {
    rows += count;
  }

  private Tensor tensor(int index, long from, long count) {
    long row = width * Float.BYTES;
    return Tensor.float32(memories.get(index).asSlice(from * row, count * row), count, width);
  }

  private void reserve(long needed) {
    if (needed <= capacity) {
      return;
    }
    long grown = needed + needed / 4 + 16;
    long row = width * Float.BYTES;
    Arena next = Arena.ofShared();
    memories.replaceAll(
        old -> {
          MemorySegment memory = next.allocate(grown * row, CACHE_LINE);
          MemorySegment.copy(old, 0, memory, 0, rows * row);
          return memory;
        });
    arena.close();
    arena = next;
    capacity = grown;
  }

  @Override
  public void close() {
    arena.close();
  }
}
