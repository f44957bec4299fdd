package io.github.recurrentkif.model;

import io.github.recurrentkif.memory.ParameterLayout;
import java.util.ArrayList;
import java.util.List;

/**
 * The adapter of one linear layer, as it lies in a layout. Component k of it, a matrix of rank one,
 * is row k of A times column k of B.
 *
 * @param name of the linear layer
 * @param a [rank, inputs]
 * @param b [outputs, rank]
 */
public record LoraModule(String name, ParameterLayout.Tensor a, ParameterLayout.Tensor b) {

  private static final String A = ".lora_A.weight";
  private static final String B = ".lora_B.weight";

  /** Every adapter of a layout, in its order. */
  public static List<LoraModule> of(ParameterLayout layout) {
    List<LoraModule> modules = new ArrayList<>();
    for (ParameterLayout.Tensor tensor : layout.tensors()) {
      if (tensor.name().endsWith(A)) {
        String name = tensor.name().substring(0, tensor.name().length() - A.length());
        modules.add(new LoraModule(name, tensor, layout.tensor(name + B)));
      }
    }
    return modules;
  }

  /** Whether a tensor is a matrix of an adapter. */
  public static boolean isPart(ParameterLayout.Tensor tensor) {
    return tensor.name().endsWith(A) || tensor.name().endsWith(B);
  }

  public int rank() {
    return Math.toIntExact(a.shape().dimension(0));
  }

  public int inputs() {
    return Math.toIntExact(a.shape().dimension(1));
  }

  public int outputs() {
    return Math.toIntExact(b.shape().dimension(0));
  }
}
