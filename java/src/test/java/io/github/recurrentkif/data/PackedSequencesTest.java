package io.github.recurrentkif.data;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.recurrentkif.data.PackedSequences.Sequence;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class PackedSequencesTest {

  /** How long the sequences of each group are. */
  private static List<List<Integer>> groups(int mostTokens, int... lengths) {
    List<EncodedSample> samples = new ArrayList<>();
    for (int length : lengths) {
      samples.add(new EncodedSample(new long[length], new long[1]));
    }
    return PackedSequences.of(List.of(new BatchBuilder(0, 8).build(samples)))
        .groups(mostTokens, Sequence::length)
        .stream()
        .map(group -> group.sequences().stream().map(Sequence::length).toList())
        .toList();
  }

  @Test
  void aSequenceGoesToTheFirstGroupWithRoomTheLongestFirst() {
    assertEquals(
        List.of(List.of(9, 1), List.of(6, 4), List.of(5, 3)), groups(10, 3, 9, 4, 1, 6, 5));
  }

  @Test
  void whatIsLongerThanAGroupStandsAlone() {
    assertEquals(List.of(List.of(12), List.of(4, 4)), groups(8, 4, 12, 4));
  }

  @Test
  void oneGroupIsEnoughWhereAllFit() {
    assertEquals(List.of(List.of(3, 2, 1)), groups(6, 1, 2, 3));
  }
}
