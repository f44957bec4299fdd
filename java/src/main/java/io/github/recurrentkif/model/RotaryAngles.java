package io.github.recurrentkif.model;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import java.lang.foreign.MemorySegment;
import java.util.List;

/** Cosines and sines of the angles by which heads turn, position by position. */
public final class RotaryAngles {

  private final float[] radiansPerPosition;

  public RotaryAngles(LlamaConfig config) {
    List<Float> radians =
        RotaryScaling.radiansPerPosition(config.frequencies(), config.headWidth());
    radiansPerPosition = new float[radians.size()];
    for (int i = 0; i < radiansPerPosition.length; i++) {
      radiansPerPosition[i] = radians.get(i);
    }
  }

  /** Angles of one position. */
  public int pairs() {
    return radiansPerPosition.length;
  }

  /**
   * Writes the table of some positions.
   *
   * @param cosine [positions, {@link #pairs}], overwritten; likewise sine
   */
  public void write(long[] positions, MemorySegment cosine, MemorySegment sine) {
    long at = 0;
    for (long position : positions) {
      for (float radians : radiansPerPosition) {
        float angle = position * radians;
        cosine.setAtIndex(JAVA_FLOAT, at, (float) Math.cos(angle));
        sine.setAtIndex(JAVA_FLOAT, at, (float) Math.sin(angle));
        at++;
      }
    }
  }
}
