package io.github.recurrentkif.memory;

/**
 * How one element of a stored tensor is encoded; the constants carry the names of the safetensors
 * format.
 *
 * <p>Their order is that of the format's reference implementation: a file holds its tensors from
 * the last constant to the first, so that wider elements come before narrower ones and all are
 * aligned.
 */
public enum DataType {
  BOOL(8),
  F4(4),
  F6_E2M3(6),
  F6_E3M2(6),
  U8(8),
  I8(8),
  F8_E5M2(8),
  F8_E4M3(8),
  F8_E8M0(8),
  F8_E4M3FNUZ(8),
  F8_E5M2FNUZ(8),
  I16(16),
  U16(16),
  F16(16),
  BF16(16),
  I32(32),
  U32(32),
  F32(32),
  C64(64),
  F64(64),
  I64(64),
  U64(64);

  private final int bits;

  DataType(int bits) {
    this.bits = bits;
  }

  /** Bits of one element. */
  public int bits() {
    return bits;
  }

  /** Whether its numbers can be had as float32: exactly, or for F64 rounded to the nearest. */
  public boolean readsAsFloat32() {
    return this == F32 || this == F16 || this == BF16 || this == F64;
  }

  /**
   * Bytes of a dense tensor of this shape.
   *
   * @throws IllegalArgumentException if that number overflows 63 bits or is not whole
   */
  public long bytes(Shape shape) {
    long elements = shape.elements();
    if (elements > Long.MAX_VALUE / bits) {
      throw new IllegalArgumentException("shape " + shape + " of " + this + " overflows 63 bits");
    }
    if (elements * bits % Byte.SIZE != 0) {
      throw new IllegalArgumentException(
          "shape " + shape + " of " + this + " does not fill whole bytes");
    }
    return elements * bits / Byte.SIZE;
  }
}
