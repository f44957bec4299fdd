package io.github.recurrentkif.kernels.cuda;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.github.recurrentkif.kernels.AdamWStep;
import io.github.recurrentkif.kernels.Importance;
import io.github.recurrentkif.kernels.ImportanceRule;
import io.github.recurrentkif.kernels.MergeRule;
import io.github.recurrentkif.kernels.MergeRule.Coefficients;
import io.github.recurrentkif.kernels.MergeRule.Masks;
import io.github.recurrentkif.kernels.MergeRule.Soft;
import io.github.recurrentkif.kernels.Score;
import io.github.recurrentkif.kernels.Threshold;
import io.github.recurrentkif.memory.ParameterVector;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * The arguments of one launch, off the heap: their values, and an array of their addresses. The
 * structures are those of the headers in {@code cuda-kernels/}.
 */
public final class Arguments {

  private static final int MOST = 24;
  private static final long BYTES = 512;

  private final MemorySegment values;
  private final MemorySegment addresses;
  private int count;
  private long end;

  public Arguments(Arena arena) {
    values = arena.allocate(BYTES, Long.BYTES);
    addresses = arena.allocate(JAVA_LONG, MOST);
  }

  /** Forgets the arguments of the launch before. */
  public Arguments clear() {
    count = 0;
    end = 0;
    return this;
  }

  /** The address of each argument, as {@link Launcher#launch} takes them. */
  public MemorySegment addresses() {
    return addresses;
  }

  public Arguments add(ParameterVector vector) {
    return add(vector.segment());
  }

  /** Its sensitivity, then its uncertainty. */
  Arguments add(Importance importance) {
    return add(importance.sensitivity()).add(importance.uncertainty());
  }

  /** The address of memory on the device. */
  public Arguments add(MemorySegment device) {
    return add(device.address());
  }

  public Arguments add(long value) {
    values.set(JAVA_LONG, next(Long.BYTES), value);
    return this;
  }

  public Arguments add(int value) {
    values.set(JAVA_INT, next(Integer.BYTES), value);
    return this;
  }

  public Arguments add(float value) {
    values.set(JAVA_FLOAT, next(Float.BYTES), value);
    return this;
  }

  Arguments add(Score score) {
    return add(number(score));
  }

  Arguments add(ImportanceRule rule) {
    long at = next(5 * Integer.BYTES);
    int formula =
        switch (rule.formula()) {
          case FIRST_ORDER -> 0;
          case SECOND_ORDER -> 1;
          case MIXED -> 2;
        };
    values.set(JAVA_INT, at, formula);
    write(at + Integer.BYTES, rule.decay1(), rule.gain1(), rule.decay2(), rule.gain2());
    return this;
  }

  Arguments add(AdamWStep step) {
    write(
        next(7 * Float.BYTES),
        step.decay(),
        step.gain1(),
        step.decay2(),
        step.gain2(),
        step.stepSize(),
        step.correction2(),
        step.roundedEpsilon());
    return this;
  }

  Arguments add(MergeRule rule) {
    long at = next(13 * Integer.BYTES);
    values.asSlice(at, 13 * Integer.BYTES).fill((byte) 0);
    values.set(JAVA_INT, at, number(rule.score()));
    long place = at + 2 * Integer.BYTES;
    switch (rule.weighting()) {
      case Masks masks -> {
        values.set(JAVA_INT, at + Integer.BYTES, 0);
        for (Coefficients c :
            List.of(masks.shared(), masks.newOnly(), masks.oldOnly(), masks.redundant())) {
          write(place, c.inner(), c.outer());
          place += 2 * Float.BYTES;
        }
      }
      case Soft soft -> {
        values.set(JAVA_INT, at + Integer.BYTES, 1);
        write(at + 10 * Float.BYTES, soft.roundedTemperature());
      }
    }
    values.set(JAVA_INT, at + 11 * Integer.BYTES, rule.resetInner() ? 1 : 0);
    values.set(JAVA_INT, at + 12 * Integer.BYTES, rule.resetOuter() ? 1 : 0);
    return this;
  }

  /** Where the parts of a threshold lie, and how many there are. */
  Arguments addParts(Threshold threshold) {
    return add(threshold.spans()).add(threshold.parts());
  }

  private void write(long at, float... fields) {
    MemorySegment.copy(fields, 0, values, JAVA_FLOAT, at, fields.length);
  }

  /** Room for an argument, on a multiple of 8 bytes as every argument may need. */
  private long next(long bytes) {
    long at = end;
    addresses.setAtIndex(JAVA_LONG, count, values.address() + at);
    count++;
    end = at + Math.ceilDiv(bytes, Long.BYTES) * Long.BYTES;
    return at;
  }

  private static int number(Score score) {
    return switch (score) {
      case SENSITIVITY_TIMES_UNCERTAINTY -> 0;
      case SENSITIVITY -> 1;
    };
  }
}
