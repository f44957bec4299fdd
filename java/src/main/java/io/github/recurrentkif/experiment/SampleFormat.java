package io.github.recurrentkif.experiment;

import io.github.recurrentkif.data.Batch;
import io.github.recurrentkif.data.BatchBuilder;
import io.github.recurrentkif.data.CausalBatchBuilder;
import io.github.recurrentkif.data.CausalEncoding;
import io.github.recurrentkif.data.EncodedSample;
import io.github.recurrentkif.data.PromptFormat;
import io.github.recurrentkif.data.Sample;
import io.github.recurrentkif.data.Tokenizer;
import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.model.LlamaConfig;
import io.github.recurrentkif.model.ModelConfig;
import io.github.recurrentkif.model.T5Config;
import java.util.List;
import java.util.function.Function;

/** How samples become what a family of models reads, when training and when asked. */
public final class SampleFormat {

  private final Function<Sample, EncodedSample> training;
  private final Function<Sample, long[]> prompt;
  private final Function<List<EncodedSample>, Batch> batches;

  /**
   * @param settings those of the family, see {@link Settings#forModel}
   */
  public SampleFormat(ModelConfig model, Tokenizer tokenizer, Settings settings) {
    PromptFormat format = settings.get(Settings.PROMPT_FORMAT);
    int multiple = BatchBuilder.REFERENCE_LENGTH_MULTIPLE;
    switch (model) {
      case T5Config t5 -> {
        training =
            sample ->
                EncodedSample.of(
                    new Sample(sample.id(), format.prompt(sample), sample.target()),
                    tokenizer,
                    settings.get(Settings.MAXIMUM_SOURCE_TOKENS),
                    settings.get(Settings.MAXIMUM_TARGET_TOKENS));
        prompt = sample -> tokenizer.encode(format.prompt(sample), Integer.MAX_VALUE);
        batches = new BatchBuilder(t5.padToken(), multiple)::build;
      }
      case LlamaConfig llama -> {
        CausalEncoding encoding =
            new CausalEncoding(
                format,
                tokenizer,
                settings.get(Settings.MAXIMUM_TOKENS),
                settings.get(Settings.LONG_SAMPLES));
        training = encoding::encode;
        prompt = encoding::prompt;
        batches = new CausalBatchBuilder(llama.padToken(), multiple)::build;
      }
    }
  }

  /**
   * A sample to learn from.
   *
   * @throws InputException if the sample does not fit the prompt format or the limits
   */
  public EncodedSample encode(Sample sample) {
    return training.apply(sample);
  }

  /** The tokens that ask for an answer, not cut. */
  public long[] prompt(Sample sample) {
    return prompt.apply(sample);
  }

  /** Samples side by side. */
  public Batch batch(List<EncodedSample> samples) {
    return batches.apply(samples);
  }
}
