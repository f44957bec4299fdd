package io.github.recurrentkif.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.kernels.RandomKey;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;

class SpanCorruptionTest {

  private static final int FIRST_SENTINEL = 999;
  private static final long END = 1;

  private final SpanCorruption corruption = new SpanCorruption(0.15, 3, FIRST_SENTINEL, 100, END);

  @Test
  void putting_the_spans_back_gives_the_text() {
    for (int length = 2; length < 120; length++) {
      long[] text = LongStream.range(100, 100 + length).toArray();
      EncodedSample sample = corruption.corrupt(text, RandomKey.ofSeed(7).at(length));

      assertArrayEquals(text, restored(sample), "length " + length);
    }
  }

  @Test
  void so_many_tokens_are_hidden_in_so_many_spans_as_the_paper_says() {
    EncodedSample sample =
        corruption.corrupt(LongStream.range(10, 110).toArray(), RandomKey.ofSeed(1));

    // 15 of 100 tokens in 5 spans: 85 tokens, 5 sentinels and the end stay.
    assertEquals(85 + 5 + 1, sample.source().length);
    assertEquals(15 + 5 + 1, sample.labels().length);
    assertTrue(sample.source()[0] < 110, "a span never begins the text");
  }

  @Test
  void the_same_key_hides_the_same_spans_and_another_key_others() {
    long[] text = LongStream.range(10, 110).toArray();

    assertArrayEquals(
        corruption.corrupt(text, RandomKey.ofSeed(1)).source(),
        corruption.corrupt(text, RandomKey.ofSeed(1)).source());
    assertTrue(
        !java.util.Arrays.equals(
            corruption.corrupt(text, RandomKey.ofSeed(1)).source(),
            corruption.corrupt(text, RandomKey.ofSeed(2)).source()));
  }

  @Test
  void a_text_of_one_token_hides_nothing() {
    assertThrows(
        IllegalArgumentException.class,
        () -> corruption.corrupt(new long[] {5}, RandomKey.ofSeed(1)));
  }

  private static long[] restored(EncodedSample sample) {
    List<Long> text = new ArrayList<>();
    for (long token : sample.source()) {
      if (token <= FIRST_SENTINEL && token > FIRST_SENTINEL - 100) {
        text.addAll(span(sample.labels(), token));
      } else if (token != END) {
        text.add(token);
      }
    }
    return text.stream().mapToLong(Long::longValue).toArray();
  }

  private static List<Long> span(long[] labels, long sentinel) {
    List<Long> span = new ArrayList<>();
    int at = 0;
    while (labels[at] != sentinel) {
      at++;
    }
    for (int i = at + 1; labels[i] != sentinel - 1 && labels[i] != END; i++) {
      span.add(labels[i]);
    }
    return span;
  }
}
