package io.github.recurrentkif.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.github.recurrentkif.data.PackedSequences.Sequence;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;

class SharedBeginningsTest {

  private static int allButOne(Sequence sequence) {
    return Math.max(0, sequence.length() - 1);
  }

  /** Padded on the left, each a batch of its own. */
  private static PackedSequences packed(long[]... texts) {
    List<Batch> batches = new ArrayList<>();
    for (long[] text : texts) {
      long[] ids = LongStream.concat(LongStream.of(0, 0), LongStream.of(text)).toArray();
      long[] mask = LongStream.range(0, ids.length).map(i -> i < 2 ? 0 : 1).toArray();
      batches.add(new Batch(1, ids.length, ids.length, ids, mask, ids));
    }
    return PackedSequences.of(batches);
  }

  private static long[] text(int from, int to, long... end) {
    return LongStream.concat(LongStream.range(from, to), LongStream.of(end)).toArray();
  }

  @Test
  void whatAllBeginWithIsThereOnce() {
    PackedSequences packed = packed(text(10, 20, 1, 2), text(10, 20, 3, 6), text(10, 20, 4, 5));
    SharedBeginnings shared = new SharedBeginnings(packed, SharedBeginningsTest::allButOne);
    assertArrayEquals(text(10, 20, 1, 2, 3, 6, 4, 5), shared.ids());
    assertArrayEquals(new long[] {0, 10, 12, 14, 16}, shared.offsets());
    assertArrayEquals(text(0, 10, 10, 11, 10, 11, 10, 11), shared.positions());
    assertArrayEquals(new long[] {0, 0, 10, 20, 30}, shared.offsetsAbove());
    assertEquals(15, shared.row(packed.sequences().get(2), 11));
    Sequence first = packed.sequences().getFirst();
    assertThrows(IllegalArgumentException.class, () -> shared.row(first, 9));
  }

  @Test
  void aShortBeginningIsNotWorthIt() {
    SharedBeginnings shared =
        new SharedBeginnings(
            packed(text(10, 17, 1), text(10, 17, 2)), SharedBeginningsTest::allButOne);
    assertEquals(16, shared.tokens());
    assertEquals(0, shared.rowsAbove().length);
  }

  @Test
  void equalTextsKeepWhatIsTheirOwn() {
    SharedBeginnings shared =
        new SharedBeginnings(packed(text(10, 30), text(10, 30), text(10, 30)), s -> 12);
    assertEquals(12 + 3 * 8, shared.tokens());
  }

  @Test
  void emptyTextsHaveNoRows() {
    SharedBeginnings shared =
        new SharedBeginnings(
            packed(text(0, 0), text(10, 30), text(0, 0)), SharedBeginningsTest::allButOne);
    assertArrayEquals(text(10, 30), shared.ids());
    assertEquals(4, shared.offsets().length);
  }

  /** Whatever the texts are: the rows above a node and its own spell the texts. */
  @Test
  void everyTextCanBeReadAlongItsRows() {
    SplittableRandom random = new SplittableRandom(3);
    for (int round = 0; round < 200; round++) {
      long[][] texts = new long[random.nextInt(1, 9)][];
      for (int i = 0; i < texts.length; i++) {
        int from = i == 0 ? 0 : random.nextInt(i);
        long[] old = i == 0 ? new long[0] : texts[from];
        int kept = random.nextInt(old.length + 1);
        texts[i] =
            LongStream.concat(
                    LongStream.of(old).limit(kept), random.longs(random.nextInt(1, 15), 0, 3))
                .toArray();
      }
      PackedSequences packed = packed(texts);
      SharedBeginnings shared = new SharedBeginnings(packed, SharedBeginningsTest::allButOne);
      long[] ids = shared.ids();
      long[] positions = shared.positions();
      long[] offsets = shared.offsets();
      long[] above = shared.rowsAbove();
      long[] offsetsAbove = shared.offsetsAbove();
      for (int i = 0; i < texts.length; i++) {
        int last = shared.row(packed.sequences().get(i), texts[i].length - 1);
        int node = 0;
        while (offsets[node + 1] <= last) {
          node++;
        }
        long[] rows =
            LongStream.concat(
                    LongStream.of(above)
                        .skip(offsetsAbove[node])
                        .limit(offsetsAbove[node + 1] - offsetsAbove[node]),
                    LongStream.rangeClosed(offsets[node], last))
                .toArray();
        assertArrayEquals(texts[i], LongStream.of(rows).map(r -> ids[(int) r]).toArray());
        assertArrayEquals(
            LongStream.range(0, texts[i].length).toArray(),
            LongStream.of(rows).map(r -> positions[(int) r]).toArray());
      }
    }
  }
}
