package io.github.recurrentkif.runtime;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.memory.Shape;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.junit.jupiter.api.Test;

class TensorTest {

  @Test
  void theMemoryHasExactlyTheSizeOfTheShape() {
    try (Arena arena = Arena.ofConfined()) {
      assertEquals("float32[2, 3]", Tensor.float32(arena.allocate(24, 8), 2, 3).toString());
      assertEquals("int64[3]", Tensor.int64(arena.allocate(24, 8), 3).toString());
      assertEquals("int32[6]", Tensor.int32(arena.allocate(24, 8), 6).toString());
      assertEquals("uint8[24]", Tensor.uint8(arena.allocate(24, 8), 24).toString());
      assertEquals("bool[]", Tensor.bool(arena.allocate(1)).toString());
      assertTrue(
          refusal(() -> Tensor.float32(arena.allocate(20, 8), 2, 3))
              .contains("float32[2, 3] takes 24 bytes, the memory has 20"));
      assertTrue(refusal(() -> Tensor.float32(arena.allocate(8, 8))).contains("takes 4 bytes"));
    }
  }

  @Test
  void javaArraysAndUnalignedMemoryAreRefused() {
    try (Arena arena = Arena.ofConfined()) {
      assertTrue(
          refusal(() -> Tensor.float32(MemorySegment.ofArray(new float[6]), 6))
              .contains("not a Java array"));
      assertTrue(
          refusal(() -> Tensor.int64(arena.allocate(32, 8).asSlice(4, 16), 2))
              .contains("aligned to 8 bytes"));
    }
  }

  @Test
  void aShapeTooLargeForAnyMemoryIsRefused() {
    try (Arena arena = Arena.ofConfined()) {
      assertTrue(
          refusal(() -> Tensor.int64(arena.allocate(8, 8), Long.MAX_VALUE)).contains("2^63"));
    }
  }

  @Test
  void aDeclarationAdmitsOpenDimensionsButNoOtherRank() {
    TensorType type =
        new TensorType(ElementType.FLOAT32, List.of(TensorType.UNKNOWN, 8L), List.of("batch", ""));
    assertEquals("float32[batch, 8]", type.toString());
    assertTrue(type.admits(Shape.of(3, 8)));
    assertTrue(!type.admits(Shape.of(3, 7)));
    assertTrue(!type.admits(Shape.of(3)));
  }

  private static String refusal(Runnable making) {
    return String.valueOf(assertThrows(IllegalArgumentException.class, making::run).getMessage());
  }
}
