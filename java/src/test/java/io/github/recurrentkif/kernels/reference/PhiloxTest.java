package io.github.recurrentkif.kernels.reference;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import org.junit.jupiter.api.Test;

/** The known answers that the authors of Philox publish with Random123. */
class PhiloxTest {

  @Test
  void knowsTheAnswerForZeros() {
    int[] words = {0, 0, 0, 0};
    Philox.randomize(words, 0);
    assertArrayEquals(new int[] {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}, words);
  }

  @Test
  void knowsTheAnswerForOnes() {
    int[] words = {-1, -1, -1, -1};
    Philox.randomize(words, -1);
    assertArrayEquals(new int[] {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}, words);
  }

  @Test
  void knowsTheAnswerForThePi() {
    int[] words = {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344};
    // The first key word is the lower half.
    Philox.randomize(words, 0x299f31d0_a4093822L);
    assertArrayEquals(new int[] {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}, words);
  }
}
