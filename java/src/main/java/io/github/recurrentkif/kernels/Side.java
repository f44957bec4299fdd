package io.github.recurrentkif.kernels;

import io.github.recurrentkif.memory.Device;
import io.github.recurrentkif.memory.ParameterLayout;

/**
 * One side of a merge: what was learned since the cycle began, or what was replayed.
 *
 * @param importance how important each parameter is to it
 * @param threshold what the scores of that importance are held against; {@link Kernels#measure}
 *     finds it
 */
public record Side(Importance importance, Threshold threshold) implements AutoCloseable {

  /** One to which nothing is important yet, with one threshold for all tensors together. */
  public static Side zero(ParameterLayout layout, Device device) {
    return new Side(Importance.zero(layout, device), new Threshold(device));
  }

  @Override
  public void close() {
    importance.close();
    threshold.close();
  }
}
