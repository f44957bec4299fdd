package io.github.recurrentkif.memory;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.NoSuchElementException;

/** Named tensors to read, wherever they are stored. */
public interface TensorSource extends AutoCloseable {

  /** The names of all tensors, in the order they are stored. */
  List<String> names();

  boolean contains(String name);

  /**
   * One tensor as it is stored; its bytes are readable until this source is closed.
   *
   * @throws NoSuchElementException if there is no tensor of that name
   */
  StoredTensor tensor(String name);

  /**
   * The elements of one tensor as float32, row-major. F32 is given in place where it is aligned to
   * 4 bytes: read-only and readable until this source is closed. Everything else is converted into
   * memory of the arena: F16 and BF16 exactly, F64 rounded to the nearest float.
   *
   * @throws NoSuchElementException if there is no tensor of that name
   * @throws IllegalArgumentException if the tensor holds neither F32, F16, BF16 nor F64
   */
  MemorySegment float32(String name, Arena arena);

  /**
   * @throws NoSuchElementException if there is no tensor of that name
   */
  default DataType dataType(String name) {
    return tensor(name).dataType();
  }

  /**
   * @throws NoSuchElementException if there is no tensor of that name
   */
  default Shape shape(String name) {
    return tensor(name).shape();
  }

  /**
   * Whether {@link #float32} gives the bytes as they lie in their file.
   *
   * @throws NoSuchElementException if there is no tensor of that name
   */
  default boolean isFloat32InPlace(String name) {
    StoredTensor tensor = tensor(name);
    return tensor.dataType() == DataType.F32 && tensor.bytes().address() % Float.BYTES == 0;
  }

  @Override
  void close();
}
