package io.github.recurrentkif.experiment;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.recurrentkif.SharedFolder;
import io.github.recurrentkif.data.Sample;
import io.github.recurrentkif.data.Tokenizer;
import io.github.recurrentkif.training.Decoder;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Which samples are asked together, and that each gets its own answer. */
class EvaluationTest {

  /** Answers each prompt with its first token, and remembers how many came together. */
  private static final class Echo implements Decoder {

    private final List<Integer> batches = new ArrayList<>();

    @Override
    public List<long[]> decode(List<long[]> prompts, int maximumTokens) {
      batches.add(prompts.size());
      return prompts.stream().map(prompt -> new long[] {prompt[0]}).toList();
    }

    @Override
    public List<Integer> endTokens() {
      return List.of();
    }

    @Override
    public void close() {}
  }

  @Test
  void longSamplesAreAskedInSmallerBatches() {
    List<Integer> lengths = new ArrayList<>(Collections.nCopies(20, 100));
    lengths.addAll(3, List.of(9000, 4096, 3000));
    List<Sample> samples = new ArrayList<>();
    for (int length : lengths) {
      samples.add(new Sample(String.valueOf(samples.size()), String.valueOf(length), ""));
    }
    Echo echo = new Echo();
    try (Tokenizer tokenizer =
        Tokenizer.open(SharedFolder.repository().resolve("models/tiny-t5"))) {
      Evaluation evaluation =
          new Evaluation(
              tokenizer,
              sample -> {
                long[] tokens = new long[Integer.parseInt(sample.source())];
                tokens[0] = 3 + Long.parseLong(sample.id());
                return tokens;
              },
              () -> echo,
              16,
              1);
      List<String> expected = new ArrayList<>();
      for (int i = 0; i < samples.size(); i++) {
        expected.add(tokenizer.decode(new long[] {3L + i}, true).strip());
      }
      List<Integer> progress = new ArrayList<>();
      assertEquals(expected, evaluation.answers(samples, progress::add, () -> false));
      assertEquals(List.of(1, 2, 16, 4), echo.batches);
      assertEquals(List.of(1, 3, 19, 23), progress);
    }
  }
}
