package io.github.recurrentkif.continual;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.model.LoraModule;
import io.github.recurrentkif.model.TaskAttentionConfig;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/**
 * The adapters of all tasks side by side in one: task t owns the components from {@code t*rank} to
 * {@code (t+1)*rank} of every layer. The sum of the adapters is what the one computes; components
 * of later tasks have B = 0 and add nothing. Only the components of one task are learned at a time,
 * and its key where tasks have keys; what belongs to no task is learned in all of them.
 */
final class StackedAdapters implements AutoCloseable {

  private final int rank;
  private final GradientMask own;
  private int task = -1;

  /**
   * @param layout of an adapter whose rank is that of one task times the number of tasks
   */
  StackedAdapters(int tasks, ParameterLayout layout, Kernels kernels) {
    int whole = LoraModule.of(layout).getFirst().rank();
    if (whole % tasks != 0) {
      throw new IllegalArgumentException(
          "a rank of %d cannot be divided among %d tasks".formatted(whole, tasks));
    }
    this.rank = whole / tasks;
    this.own = new GradientMask(layout, kernels);
  }

  /** Rank of one task's adapter. */
  int rank() {
    return rank;
  }

  /**
   * Takes away from a gradient what does not belong to the adapter of the task.
   *
   * @param number of the task, from 0
   */
  void keepOwn(int number, ParameterVector gradient, Kernels kernels) {
    if (task != number) {
      mark(number);
    }
    own.apply(gradient, kernels);
  }

  private void mark(int number) {
    for (LoraModule module : LoraModule.of(own.factors().layout())) {
      try (Arena arena = Arena.ofConfined()) {
        MemorySegment a = arena.allocate(module.a().elements() * Float.BYTES, Float.BYTES);
        MemorySegment b = arena.allocate(module.b().elements() * Float.BYTES, Float.BYTES);
        for (int k = number * rank; k < (number + 1) * rank; k++) {
          for (long j = 0; j < module.inputs(); j++) {
            a.setAtIndex(JAVA_FLOAT, (long) k * module.inputs() + j, 1);
          }
          for (long i = 0; i < module.outputs(); i++) {
            b.setAtIndex(JAVA_FLOAT, i * module.rank() + k, 1);
          }
        }
        own.factors().upload(module.a().name(), a);
        own.factors().upload(module.b().name(), b);
      }
    }
    for (ParameterLayout.Tensor tensor : own.factors().layout().tensors()) {
      if (LoraModule.isPart(tensor)) {
        continue;
      }
      float[] factors = new float[Math.toIntExact(tensor.elements())];
      if (tensor.name().equals(TaskAttentionConfig.KEYS)) {
        int width = Math.toIntExact(tensor.shape().dimension(1));
        Arrays.fill(factors, number * width, (number + 1) * width, 1);
      } else {
        Arrays.fill(factors, 1);
      }
      own.factors().upload(tensor.name(), MemorySegment.ofArray(factors));
    }
    task = number;
  }

  @Override
  public void close() {
    own.close();
  }
}
