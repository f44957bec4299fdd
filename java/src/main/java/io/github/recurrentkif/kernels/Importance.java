package io.github.recurrentkif.kernels;

import io.github.recurrentkif.memory.Device;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.memory.ParameterVector;

/**
 * How important each parameter is to one side of a fusion.
 *
 * @param sensitivity I, the moving average of the first-order change of the loss if the parameter
 *     were zero
 * @param uncertainty U, the moving average of how far single updates stray from I
 */
public record Importance(ParameterVector sensitivity, ParameterVector uncertainty)
    implements AutoCloseable {

  public static Importance zero(ParameterLayout layout, Device device) {
    return new Importance(new ParameterVector(layout, device), new ParameterVector(layout, device));
  }

  @Override
  public void close() {
    sensitivity.close();
    uncertainty.close();
  }
}
