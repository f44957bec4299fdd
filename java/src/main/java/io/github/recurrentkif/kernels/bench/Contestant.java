package io.github.recurrentkif.kernels.bench;

import io.github.recurrentkif.memory.Device;
import java.util.Set;

/**
 * One way to do the operations: what is checked and measured. On a device with a queue, a
 * contestant says itself how it takes the time.
 */
public interface Contestant extends AutoCloseable {

  /** Where its arrays have to lie. */
  Device device();

  /** For people; no two contestants of a comparison have the same. */
  String name();

  /** What it can do. */
  Set<Operation> operations();

  /** Queues an operation on arrays of its device. */
  void run(Operation operation, Vectors vectors);

  /** Waits for all that was queued. */
  void await();

  /** Runs an operation that many times and waits, and says how many nanoseconds that took. */
  default double nanoseconds(Operation operation, Vectors vectors, int times) {
    long begin = System.nanoTime();
    for (int i = 0; i < times; i++) {
      run(operation, vectors);
    }
    await();
    return System.nanoTime() - begin;
  }

  @Override
  void close();
}
