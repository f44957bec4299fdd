package io.github.recurrentkif.training;

import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.model.T5Config;
import io.github.recurrentkif.runtime.Binding;
import io.github.recurrentkif.runtime.Session;
import io.github.recurrentkif.runtime.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;

/**
 * Greedy decoding of a T5 with a key-value cache: the encoder runs once for a batch, then the
 * decoder one token at a time until every row has ended.
 */
public final class GreedyDecoder implements Decoder {

  private final T5Config config;
  private final Session encoder;
  private final Session step;
  private final Binding encoderBinding;
  private final Binding stepBinding;
  private final Scratch scratch = new Scratch();

  /**
   * @param encoder of an encoder graph, frozen weights handed in
   * @param step of a decoder step graph, frozen weights handed in
   * @param weights the adapter, read where it lies at every call
   */
  public GreedyDecoder(T5Config config, Session encoder, Session step, ParameterVector weights) {
    this.config = config;
    this.encoder = encoder;
    this.step = step;
    this.encoderBinding = encoder.binding();
    this.stepBinding = step.binding();
    TrainingSession.bindWeights(encoderBinding, weights, encoder);
    TrainingSession.bindWeights(stepBinding, weights, step);
  }

  @Override
  public List<long[]> decode(List<long[]> sources, int maximumTokens) {
    int rows = sources.size();
    if (rows == 0) {
      return List.of();
    }
    int length = sources.stream().mapToInt(source -> source.length).max().orElseThrow();
    encode(sources, rows, Math.max(length, 1));

    Answers answers = new Answers(rows, maximumTokens, config.endTokens(), config.padToken());
    long[] token = new long[rows];
    Arrays.fill(token, config.decoderStartToken());
    for (int position = 0; position < maximumTokens && !answers.allEnded(); position++) {
      token = advance(token, rows, position);
      answers.take(token);
    }
    return answers.rows();
  }

  private void encode(List<long[]> sources, int rows, int length) {
    long[] ids = new long[rows * length];
    long[] mask = new long[rows * length];
    Arrays.fill(ids, config.padToken());
    for (int row = 0; row < rows; row++) {
      long[] source = sources.get(row);
      System.arraycopy(source, 0, ids, row * length, source.length);
      Arrays.fill(mask, row * length, row * length + source.length, 1);
    }
    Tensor maskTensor = Tensor.int64(scratch.longs("attention_mask", mask), rows, length);
    encoderBinding.bindInput(
        "input_ids", Tensor.int64(scratch.longs("input_ids", ids), rows, length));
    encoderBinding.bindInput("attention_mask", maskTensor);
    stepBinding.bindInput("attention_mask", maskTensor);
    for (int layer = 0; layer < config.decoderLayers(); layer++) {
      for (String kind : new String[] {"cross_key.", "cross_value."}) {
        Tensor cache = cache(kind + layer, rows, length);
        encoderBinding.bindOutput(kind + layer, cache);
        stepBinding.bindInput(kind + layer, cache);
      }
    }
    encoderBinding.run();
  }

  /** One step for all rows; keys and values go back and forth between two sets of buffers. */
  private long[] advance(long[] token, int rows, int position) {
    String from = position % 2 == 0 ? "even " : "odd ";
    String to = position % 2 == 0 ? "odd " : "even ";
    stepBinding.bindInput(
        "decoder_input_ids", Tensor.int64(scratch.longs("token", token), rows, 1));
    for (int layer = 0; layer < config.decoderLayers(); layer++) {
      for (String kind : new String[] {"key.", "value."}) {
        String name = kind + layer;
        stepBinding.bindInput("past_" + name, cache(from + name, rows, position));
        stepBinding.bindOutput("present_" + name, cache(to + name, rows, position + 1L));
      }
    }
    MemorySegment next = scratch.buffer("next_token", 8L * rows);
    stepBinding.bindOutput("next_token", Tensor.int64(next, rows));
    stepBinding.run();
    return next.toArray(ValueLayout.JAVA_LONG);
  }

  private Tensor cache(String buffer, long rows, long length) {
    long elements = rows * config.heads() * length * config.headWidth();
    return Tensor.float32(
        scratch.buffer(buffer, elements * Float.BYTES),
        rows,
        config.heads(),
        length,
        config.headWidth());
  }

  @Override
  public void close() {
    encoderBinding.close();
    stepBinding.close();
    encoder.close();
    step.close();
    scratch.close();
  }
}
