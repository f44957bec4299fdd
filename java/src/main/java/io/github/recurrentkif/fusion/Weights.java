package io.github.recurrentkif.fusion;

import io.github.recurrentkif.kernels.StoredWeights;
import io.github.recurrentkif.memory.DataType;
import io.github.recurrentkif.memory.Shape;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.List;

/** Named tensors that are read a run of elements at a time, by any number of threads. */
public sealed interface Weights extends AutoCloseable permits StoredModel, AdaptedModel {

  /** For messages: the folder or file. */
  String place();

  /** For messages: the file that a tensor comes from. */
  Path file(String tensor);

  /** In the order they are stored. */
  List<String> names();

  boolean contains(String name);

  /** What {@link #read} gives. */
  DataType dataType(String name);

  Shape shape(String name);

  /**
   * Elements first to first+count of a tensor whose type {@link StoredWeights} supports.
   *
   * @param buffer holds them afterwards; large enough
   */
  StoredWeights read(String name, long first, long count, MemorySegment buffer) throws IOException;

  @Override
  void close();
}
