package io.github.recurrentkif.memory;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * One float32 value for every parameter of a layout, in one flat arena on a device: weights,
 * gradients, moments, importances, snapshots are all of this type. Padding is zero from the start,
 * and every kernel keeps it so.
 */
public final class ParameterVector implements AutoCloseable {

  private final ParameterLayout layout;
  private final Device device;
  private final Arena arena;
  private final MemorySegment segment;

  /** Allocates a vector of zeros. */
  public ParameterVector(ParameterLayout layout, Device device) {
    this.layout = layout;
    this.device = device;
    this.arena = Arena.ofShared();
    this.segment = device.allocate(layout.length() * JAVA_FLOAT.byteSize(), arena);
  }

  public ParameterLayout layout() {
    return layout;
  }

  public Device device() {
    return device;
  }

  /** All elements, padding included, in the order of the layout. */
  public MemorySegment segment() {
    return segment;
  }

  /** The elements of one tensor, row-major. */
  public MemorySegment slice(ParameterLayout.Tensor tensor) {
    return segment.asSlice(
        tensor.offset() * JAVA_FLOAT.byteSize(), tensor.elements() * JAVA_FLOAT.byteSize());
  }

  public MemorySegment slice(String tensor) {
    return slice(layout.tensor(tensor));
  }

  /** Copies one tensor to a new array. */
  public float[] download(String tensor) {
    ParameterLayout.Tensor t = layout.tensor(tensor);
    float[] values = new float[Math.toIntExact(t.elements())];
    device.download(slice(t), MemorySegment.ofArray(values));
    return values;
  }

  /**
   * Sets one tensor from the host.
   *
   * @throws IllegalArgumentException if the number of values is not that of the tensor
   */
  public void upload(String tensor, MemorySegment values) {
    ParameterLayout.Tensor t = layout.tensor(tensor);
    if (values.byteSize() != t.elements() * JAVA_FLOAT.byteSize()) {
      throw new IllegalArgumentException(
          "tensor '"
              + tensor
              + "' of shape "
              + t.shape()
              + " holds "
              + t.elements()
              + " elements, got "
              + values.byteSize()
              + " bytes");
    }
    device.upload(values, slice(t));
  }

  /** The same, each number rounded to float32. */
  public void upload(String tensor, double[] values) {
    float[] rounded = new float[values.length];
    for (int i = 0; i < rounded.length; i++) {
      rounded[i] = (float) values[i];
    }
    upload(tensor, MemorySegment.ofArray(rounded));
  }

  @Override
  public void close() {
    arena.close();
  }
}
