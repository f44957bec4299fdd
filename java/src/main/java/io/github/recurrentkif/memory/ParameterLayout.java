package io.github.recurrentkif.memory;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.SequencedMap;

/**
 * Where each named tensor lies in one flat arena of float32 elements.
 *
 * <p>Every tensor starts on a multiple of {@value #ALIGNMENT} elements (one cache line); the gap
 * behind it is padding, which stays zero in every vector of the layout. Tensors keep the order they
 * were given in.
 */
public final class ParameterLayout {

  /** Elements; 16 float32 are 64 bytes, a cache line and an AVX-512 register. */
  public static final int ALIGNMENT = 16;

  /** One tensor of the arena; {@code offset} and {@code elements} count float32 elements. */
  public record Tensor(String name, Shape shape, long offset, long elements) {}

  private final List<Tensor> tensors;
  private final Map<String, Tensor> byName;
  private final long elements;
  private final long length;

  private ParameterLayout(List<Tensor> tensors, long elements, long length) {
    this.tensors = List.copyOf(tensors);
    this.byName = new LinkedHashMap<>();
    for (Tensor tensor : tensors) {
      byName.put(tensor.name(), tensor);
    }
    this.elements = elements;
    this.length = length;
  }

  /**
   * Lays the tensors out one after another.
   *
   * @throws ArithmeticException if the arena would have more than 2^63 elements
   */
  public static ParameterLayout of(SequencedMap<String, Shape> shapes) {
    List<Tensor> tensors = new ArrayList<>(shapes.size());
    long offset = 0;
    long elements = 0;
    for (var entry : shapes.entrySet()) {
      long size = entry.getValue().elements();
      tensors.add(new Tensor(entry.getKey(), entry.getValue(), offset, size));
      elements = Math.addExact(elements, size);
      offset = Math.addExact(offset, Math.multiplyExact(Math.ceilDiv(size, ALIGNMENT), ALIGNMENT));
    }
    return new ParameterLayout(tensors, elements, offset);
  }

  public List<Tensor> tensors() {
    return tensors;
  }

  /**
   * @throws NoSuchElementException if the layout has no tensor of that name
   */
  public Tensor tensor(String name) {
    Tensor tensor = byName.get(name);
    if (tensor == null) {
      throw new NoSuchElementException("no tensor '" + name + "' in a layout of " + tensors.size());
    }
    return tensor;
  }

  public boolean contains(String name) {
    return byName.containsKey(name);
  }

  /** Elements of the arena, padding included: what a kernel walks over. */
  public long length() {
    return length;
  }

  /** Elements that belong to a tensor: the n of every quantile. */
  public long elements() {
    return elements;
  }

  /** Elements that belong to no tensor and are zero. */
  public long padding() {
    return length - elements;
  }

  @Override
  public boolean equals(Object other) {
    // Kernels compare the layouts of all their vectors, which nearly always are one object.
    return other == this || (other instanceof ParameterLayout that && tensors.equals(that.tensors));
  }

  @Override
  public int hashCode() {
    return tensors.hashCode();
  }

  @Override
  public String toString() {
    return tensors.size() + " tensors, " + elements + " elements";
  }
}
