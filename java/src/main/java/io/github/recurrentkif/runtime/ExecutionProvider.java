package io.github.recurrentkif.runtime;

/**
 * What runs the operators of a session, and so where everything lies that is bound to it: weights,
 * inputs and outputs alike.
 */
public sealed interface ExecutionProvider {

  /** Whether runs are recorded and repeated, which pays where shapes recur. */
  default boolean records() {
    return false;
  }

  /** The processor; memory of the host. */
  record Processor() implements ExecutionProvider {}

  /**
   * A GPU, by the CUDA provider of a library that has one. A run queues work and returns; whoever
   * wants a result waits for the queue.
   *
   * @param device counted from 0
   * @param queue address of the {@code CUstream} that everything runs on, in order
   * @param records whether the work of a binding is recorded in its second run and repeated as one
   *     launch from then on, for as long as the same memory and shapes stay bound. Such a session
   *     is run by one thread only, and every operator of it must be one that the GPU runs.
   */
  record Cuda(int device, long queue, boolean records) implements ExecutionProvider {}
}
