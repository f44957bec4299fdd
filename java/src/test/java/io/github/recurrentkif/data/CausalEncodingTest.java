package io.github.recurrentkif.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.SharedFolder;
import io.github.recurrentkif.memory.InputException;
import java.util.Arrays;
import java.util.List;
import java.util.stream.LongStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class CausalEncodingTest {

  private static final Sample SHORT =
      new Sample("a", "What is the topic? ", "Text: a dog runs\nAnswer:", "Sports");
  private static final Sample LONG =
      new Sample("b", "What is the topic? ", "Text: " + "a dog runs. ".repeat(200), "Sports");

  private Tokenizer tokenizer;

  @BeforeEach
  void open() {
    tokenizer = Tokenizer.open(SharedFolder.resolve("golden/hf/llama-mha"));
  }

  @AfterEach
  void close() {
    if (tokenizer != null) {
      tokenizer.close();
    }
  }

  private CausalEncoding encoding(int maximumTokens, CausalEncoding.Cut cut) {
    return new CausalEncoding(PromptFormat.ALPACA, tokenizer, maximumTokens, cut);
  }

  @Test
  void theAnswerAndTheEndFollowThePromptThatIsAskedWhenEvaluating() {
    CausalEncoding encoding = encoding(512, CausalEncoding.Cut.INPUT);
    EncodedSample encoded = encoding.encode(SHORT);
    assertArrayEquals(encoding.prompt(SHORT), encoded.source());
    assertEquals(1, encoded.source()[0], "the token that begins a text");
    long[] labels = encoded.labels();
    assertEquals(tokenizer.endOfSequence(), labels[labels.length - 1]);
    assertEquals("Sports", tokenizer.decode(labels, true).strip());
    String prompt = tokenizer.decode(encoded.source(), true);
    assertTrue(prompt.contains("### Instruction:\nWhat is the topic? \n\n### Input:\nText: a dog"));
  }

  @Test
  void aLongSampleLosesItsInputAndKeepsItsAnswer() {
    EncodedSample whole = encoding(10_000, CausalEncoding.Cut.INPUT).encode(LONG);
    EncodedSample cut = encoding(400, CausalEncoding.Cut.INPUT).encode(LONG);
    assertTrue(whole.source().length > 1000);
    assertArrayEquals(whole.labels(), cut.labels());
    int length = cut.source().length + cut.labels().length;
    assertTrue(length <= 400 && length > 390, "as long as allowed, found " + length);
    String prompt = tokenizer.decode(cut.source(), true);
    assertTrue(prompt.stripTrailing().endsWith("### Response:"), prompt);
  }

  @Test
  void asReleasedALongSampleLosesItsAnswer() {
    CausalEncoding encoding = encoding(400, CausalEncoding.Cut.ANSWER);
    EncodedSample cut = encoding.encode(LONG);
    assertEquals(0, cut.labels().length);
    assertArrayEquals(Arrays.copyOf(encoding.prompt(LONG), 400), cut.source());
    EncodedSample whole = encoding.encode(SHORT);
    int length = whole.source().length + whole.labels().length;
    EncodedSample withoutEnd = encoding(length - 1, CausalEncoding.Cut.ANSWER).encode(SHORT);
    assertArrayEquals(
        Arrays.copyOf(whole.labels(), whole.labels().length - 1), withoutEnd.labels());
  }

  @Test
  void aLimitBelowTheTemplateIsRefused() {
    InputException e =
        assertThrows(
            InputException.class, () -> encoding(20, CausalEncoding.Cut.INPUT).encode(SHORT));
    assertTrue(String.valueOf(e.getMessage()).contains("maximum-tokens"), e.getMessage());
  }

  @Test
  void anInstructionInsideTheInputIsRefusedByTheTemplate() {
    Sample merged = new Sample("c", "What is the topic? Text: a dog", "Sports");
    InputException e = assertThrows(InputException.class, () -> PromptFormat.ALPACA.prompt(merged));
    assertTrue(String.valueOf(e.getMessage()).contains("sample 'c'"), e.getMessage());
  }

  @Test
  void rowsEndTogetherAndOnlyAnswersAreLabelled() {
    Batch batch =
        new CausalBatchBuilder(9, 4)
            .build(
                List.of(
                    new EncodedSample(new long[] {1, 5, 6}, new long[] {7, 2}),
                    new EncodedSample(new long[] {1, 4}, new long[0])));
    assertEquals(8, batch.sourceLength());
    assertEquals(8, batch.targetLength());
    assertArrayEquals(
        new long[] {9, 9, 9, 1, 5, 6, 7, 2, 9, 9, 9, 9, 9, 9, 1, 4}, batch.inputIds());
    assertArrayEquals(
        new long[] {0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1}, batch.attentionMask());
    long[] expected = LongStream.generate(() -> Batch.IGNORED).limit(16).toArray();
    expected[6] = 7;
    expected[7] = 2;
    assertArrayEquals(expected, batch.labels());
  }
}
