package io.github.recurrentkif.model;

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

  /** The cosines and sines of some positions, both [positions, {@link #pairs}]. */
  public record Table(float[] cosine, float[] sine) {}

  /** The table of some positions. */
  public Table of(long[] positions) {
    int count = Math.multiplyExact(positions.length, radiansPerPosition.length);
    float[] cosine = new float[count];
    float[] sine = new float[count];
    int at = 0;
    for (long position : positions) {
      for (float radians : radiansPerPosition) {
        float angle = position * radians;
        cosine[at] = (float) Math.cos(angle);
        sine[at] = (float) Math.sin(angle);
        at++;
      }
    }
    return new Table(cosine, sine);
  }
}
