package io.github.recurrentkif.continual;

import io.github.recurrentkif.memory.ParameterVector;

/** The weights of an adapter that has learned nothing. */
@FunctionalInterface
public interface FreshAdapter {

  /**
   * Overwrites the weights; the same task gets the same ones.
   *
   * @param task for which the adapter is, from 0
   */
  void write(int task, ParameterVector weights);
}
