package io.github.recurrentkif.training;

import io.github.recurrentkif.runtime.Binding;
import io.github.recurrentkif.runtime.Tensor;
import java.util.ArrayList;
import java.util.List;

/**
 * The keys and values of all layers over some tokens of a batch: for each a tensor [rows, heads,
 * length, width] in a buffer of its own. Rows lie behind each other, so that a batch that loses its
 * last row keeps the others where they are.
 */
final class KeyValueCache {

  private final Scratch scratch;
  private final String buffers;
  private final List<String> names;
  private final long heads;
  private final long width;

  /**
   * @param buffers what the names of its buffers begin with
   */
  KeyValueCache(Scratch scratch, String buffers, int layers, long heads, long width) {
    this.scratch = scratch;
    this.buffers = buffers;
    this.names = new ArrayList<>();
    for (int layer = 0; layer < layers; layer++) {
      names.add("key." + layer);
      names.add("value." + layer);
    }
    this.heads = heads;
    this.width = width;
  }

  /** Has a model read it, under the names of its tensors with this before them. */
  void bindInput(Binding binding, String prefix, int rows, long length) {
    names.forEach(name -> binding.bindInput(prefix + name, tensor(name, rows, length)));
  }

  /** Has a model fill it. */
  void bindOutput(Binding binding, String prefix, int rows, long length) {
    names.forEach(name -> binding.bindOutput(prefix + name, tensor(name, rows, length)));
  }

  private Tensor tensor(String name, int rows, long length) {
    return Tensor.float32(
        scratch.buffer(buffers + name, rows * rowBytes(length)), rows, heads, length, width);
  }

  private long rowBytes(long length) {
    return heads * length * width * Float.BYTES;
  }

  /** Puts a row where a shorter batch has another. */
  void move(int from, int to, long length) {
    names.forEach(name -> scratch.move(buffers + name, rowBytes(length), from, to));
  }
}
