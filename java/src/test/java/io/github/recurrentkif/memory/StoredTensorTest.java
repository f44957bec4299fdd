package io.github.recurrentkif.memory;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import org.junit.jupiter.api.Test;

class StoredTensorTest {

  private final Arena arena = Arena.ofAuto();

  @Test
  void float32IsRoundedToTheNearestBfloat16() {
    Random random = new Random(3);
    float[] values = new float[10_000];
    for (int i = 0; i < values.length; i++) {
      values[i] = Float.intBitsToFloat(random.nextInt());
    }
    // Ties, the smallest numbers, the largest ones, and what is no number.
    int[] special = {
      0x3F808000, 0x3F818000, 0x3F808001, 0x3F807FFF, 0x00000001, 0x00008000, 0x00018000,
      0x7F7FFFFF, 0xFF7F8000, 0x7F7F7FFF, 0x7F800000, 0xFF800000, 0x80000000, 0x7F800001,
      0xFFFFFFFF
    };
    for (int i = 0; i < special.length; i++) {
      values[i] = Float.intBitsToFloat(special[i]);
    }
    short[] found = rounded(DataType.F32, MemorySegment.ofArray(values), values.length);
    for (int i = 0; i < values.length; i++) {
      assertEquals(nearest(values[i]), found[i], Float.toHexString(values[i]));
    }
  }

  @Test
  void everyFloat16IsRoundedOnce() {
    short[] bits = new short[1 << 16];
    for (int i = 0; i < bits.length; i++) {
      bits[i] = (short) i;
    }
    short[] found = rounded(DataType.F16, MemorySegment.ofArray(bits), bits.length);
    for (int i = 0; i < bits.length; i++) {
      assertEquals(nearest(Float.float16ToFloat(bits[i])), found[i], Integer.toHexString(i));
    }
  }

  @Test
  void float64GoesByFloat32() {
    double[] values = {1, 1.00390625, 1e300, -1e-300, 0.1, Double.NaN};
    short[] found = rounded(DataType.F64, MemorySegment.ofArray(values), values.length);
    for (int i = 0; i < values.length; i++) {
      assertEquals(nearest((float) values[i]), found[i]);
    }
  }

  @Test
  void whatIsBfloat16StaysWhereItIs() {
    MemorySegment bytes = arena.allocate(7).asSlice(1);
    StoredTensor tensor = new StoredTensor("x", DataType.BF16, Shape.of(3), bytes);
    assertSame(tensor, tensor.bfloat16(arena));
  }

  @Test
  void integersAreNotRounded() {
    StoredTensor tensor =
        new StoredTensor("x", DataType.I32, Shape.of(2), MemorySegment.ofArray(new int[2]));
    assertThrows(IllegalArgumentException.class, () -> tensor.bfloat16(arena));
  }

  /** Bytes that begin anywhere, as in a file. */
  private short[] rounded(DataType type, MemorySegment values, int count) {
    MemorySegment bytes = arena.allocate(values.byteSize() + 1).asSlice(1).copyFrom(values);
    StoredTensor tensor = new StoredTensor("x", type, Shape.of(count), bytes).bfloat16(arena);
    assertEquals(DataType.BF16, tensor.dataType());
    return tensor.bytes().toArray(ValueLayout.JAVA_SHORT);
  }

  /** Of both neighbours of a number the nearer one, of two as near the even one. */
  private static short nearest(float value) {
    int lower = Float.floatToRawIntBits(value) >>> Short.SIZE;
    if (Float.isNaN(value)) {
      return (short) (lower | 0x40);
    }
    if (Float.isInfinite(value)) {
      return (short) lower;
    }
    double below = magnitude(lower);
    double above = magnitude(lower + 1);
    double wanted = Math.abs((double) value);
    boolean up =
        above - wanted < wanted - below || (above - wanted == wanted - below && (lower & 1) == 1);
    return (short) (up ? lower + 1 : lower);
  }

  /** Infinity counts as the number that would follow the largest. */
  private static double magnitude(int bfloat16) {
    int bits = bfloat16 & 0x7FFF;
    return bits == 0x7F80 ? 0x1p128 : Float.intBitsToFloat(bits << Short.SIZE);
  }
}
