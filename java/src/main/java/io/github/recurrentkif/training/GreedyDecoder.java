package io.github.recurrentkif.training;

import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.model.T5Config;
import io.github.recurrentkif.model.TaskAttentionConfig;
import io.github.recurrentkif.runtime.Binding;
import io.github.recurrentkif.runtime.Session;
import io.github.recurrentkif.runtime.Tensor;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Greedy decoding of a T5 with a key-value cache: the encoder runs once for a batch, then the
 * decoder one token at a time over the rows that have not ended.
 */
public final class GreedyDecoder implements Decoder {

  private final T5Config config;
  private final Session encoder;
  private final Session step;
  private final Binding encoderBinding;
  private final Binding stepBinding;
  private final Scratch scratch;
  private final KeyValueCache cross;

  /** Keys and values of the answers so far go back and forth between the two. */
  private final KeyValueCache even;

  private final KeyValueCache odd;
  private final @Nullable TaskAttention attention;

  /**
   * @param encoder of an encoder graph, frozen weights handed in
   * @param step of a decoder step graph, frozen weights handed in
   * @param weights the adapter, read where it lies at every call
   * @param attention over the adapters of tasks, if the graphs have such
   */
  GreedyDecoder(
      T5Config config,
      Session encoder,
      Session step,
      ParameterVector weights,
      @Nullable TaskAttention attention) {
    this.attention = attention;
    this.config = config;
    this.scratch = new Scratch(weights.device());
    this.encoder = encoder;
    this.step = step;
    this.encoderBinding = encoder.binding();
    this.stepBinding = step.binding();
    this.cross = cache("cross ");
    this.even = cache("even ");
    this.odd = cache("odd ");
    TrainingSession.bindWeights(encoderBinding, weights, encoder);
    TrainingSession.bindWeights(stepBinding, weights, step);
  }

  private KeyValueCache cache(String name) {
    return new KeyValueCache(
        scratch, name, config.decoderLayers(), config.heads(), config.headWidth());
  }

  @Override
  public List<long[]> decode(List<long[]> sources, int maximumTokens) {
    int rows = sources.size();
    if (rows == 0) {
      return List.of();
    }
    int length = Math.max(1, sources.stream().mapToInt(source -> source.length).max().orElse(1));
    encode(sources, rows, length);

    Answers answers = new Answers(rows, config.endTokens());
    long[] token = new long[rows];
    Arrays.fill(token, config.decoderStartToken());
    int[] owners = IntStream.range(0, rows).toArray();
    for (int taken = 0; taken < maximumTokens && answers.running() > 0; taken++) {
      KeyValueCache past = taken % 2 == 0 ? even : odd;
      KeyValueCache present = taken % 2 == 0 ? odd : even;
      if (attention != null) {
        bindOwners(stepBinding, TaskAttentionConfig.TARGET_TEXTS, owners, token.length, 1);
      }
      long[] next = advance(token, length, past, present, taken);
      int tokens = taken + 1;
      token =
          answers.take(
              next,
              (from, to) -> {
                owners[to] = owners[from];
                scratch.move("attention_mask", length * (long) Long.BYTES, from, to);
                cross.move(from, to, length);
                present.move(from, to, tokens);
              });
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
    encoderBinding.bindInput(
        "input_ids", Tensor.int64(scratch.longs("input_ids", ids), rows, length));
    encoderBinding.bindInput(
        "attention_mask", Tensor.int64(scratch.longs("attention_mask", mask), rows, length));
    cross.bindOutput(encoderBinding, "cross_", rows, length);
    if (attention != null) {
      Tensor gates = attention.gates(sources, scratch);
      encoderBinding.bindInput(TaskAttentionConfig.GATES, gates);
      stepBinding.bindInput(TaskAttentionConfig.GATES, gates);
      int[] owners = IntStream.range(0, rows).toArray();
      bindOwners(encoderBinding, TaskAttentionConfig.SOURCE_TEXTS, owners, rows, length);
    }
    encoderBinding.run();
  }

  private void bindOwners(Binding binding, String name, int[] owners, int rows, int length) {
    long[] each = TaskAttention.owners(owners, rows, length);
    binding.bindInput(name, Tensor.int64(scratch.longs(name, each), rows, length));
  }

  /** One step of all running rows, over {@code taken} tokens of their answers. */
  private long[] advance(
      long[] token, int length, KeyValueCache past, KeyValueCache present, int taken) {
    int rows = token.length;
    stepBinding.bindInput(
        "decoder_input_ids", Tensor.int64(scratch.longs("token", token), rows, 1));
    stepBinding.bindInput(
        "attention_mask",
        Tensor.int64(
            scratch.buffer("attention_mask", (long) rows * length * Long.BYTES), rows, length));
    cross.bindInput(stepBinding, "cross_", rows, length);
    past.bindInput(stepBinding, "past_", rows, taken);
    present.bindOutput(stepBinding, "present_", rows, taken + 1L);
    MemorySegment next = scratch.buffer("next_token", 8L * rows);
    stepBinding.bindOutput("next_token", Tensor.int64(next, rows));
    stepBinding.run();
    return scratch.longs(next);
  }

  @Override
  public List<Integer> endTokens() {
    return config.endTokens();
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
