package io.github.recurrentkif.training;

import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.model.LlamaConfig;
import io.github.recurrentkif.model.RotaryAngles;
import io.github.recurrentkif.runtime.Binding;
import io.github.recurrentkif.runtime.Session;
import io.github.recurrentkif.runtime.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;

/**
 * Greedy decoding of a decoder-only model with a key-value cache: prompts are padded on the left
 * and go through in one pass, then follows one token at a time until every row has ended.
 *
 * <p>Positions are counted from a row's own first token, so that padding changes nothing.
 */
public final class CausalDecoder implements Decoder {

  private final LlamaConfig config;
  private final Session step;
  private final Binding binding;
  private final RotaryAngles angles;
  private final Scratch scratch = new Scratch();

  /**
   * @param step of a decoder step graph, frozen weights handed in
   * @param weights the adapter, read where it lies at every call
   */
  public CausalDecoder(LlamaConfig config, Session step, ParameterVector weights) {
    this.config = config;
    this.step = step;
    this.binding = step.binding();
    this.angles = new RotaryAngles(config);
    TrainingSession.bindWeights(binding, weights, step);
  }

  @Override
  public List<long[]> decode(List<long[]> prompts, int maximumTokens) {
    int rows = prompts.size();
    if (rows == 0) {
      return List.of();
    }
    int length = prompts.stream().mapToInt(prompt -> prompt.length).max().orElseThrow();
    if (prompts.stream().anyMatch(prompt -> prompt.length == 0)) {
      throw new IllegalArgumentException("a prompt has no tokens");
    }
    long[] ids = new long[Math.multiplyExact(rows, length)];
    long[] positions = new long[ids.length];
    int[] padding = new int[rows];
    Arrays.fill(ids, config.padToken());
    for (int row = 0; row < rows; row++) {
      long[] prompt = prompts.get(row);
      padding[row] = length - prompt.length;
      for (int i = 0; i < prompt.length; i++) {
        ids[row * length + padding[row] + i] = prompt[i];
        positions[row * length + padding[row] + i] = i;
      }
    }
    Answers answers = new Answers(rows, maximumTokens, config.endTokens(), config.padToken());
    long[] token = advance(ids, positions, padding, 0, 0);
    answers.take(token);
    for (int taken = 1; taken < maximumTokens && !answers.allEnded(); taken++) {
      int past = length + taken - 1;
      long[] position = new long[rows];
      for (int row = 0; row < rows; row++) {
        position[row] = past - (long) padding[row];
      }
      token = advance(token, position, padding, past, taken);
      answers.take(token);
    }
    return answers.rows();
  }

  /**
   * Some tokens of all rows; keys and values go back and forth between two sets of buffers.
   *
   * @param past tokens per row that are cached
   * @param turn which set is read
   */
  private long[] advance(long[] ids, long[] positions, int[] padding, int past, int turn) {
    int rows = padding.length;
    int length = ids.length / rows;
    int present = past + length;
    String from = turn % 2 == 0 ? "even " : "odd ";
    String to = turn % 2 == 0 ? "odd " : "even ";
    long[] mask = new long[Math.multiplyExact(rows, present)];
    for (int row = 0; row < rows; row++) {
      Arrays.fill(mask, row * present + padding[row], (row + 1) * present, 1);
    }
    binding.bindInput("input_ids", Tensor.int64(scratch.longs("input_ids", ids), rows, length));
    binding.bindInput(
        "attention_mask", Tensor.int64(scratch.longs("attention_mask", mask), rows, present));
    TrainingSession.bindAngles(
        binding, scratch, angles, positions, rows, length, 1, 1, angles.pairs());
    for (int layer = 0; layer < config.layers(); layer++) {
      for (String kind : new String[] {"key.", "value."}) {
        String name = kind + layer;
        binding.bindInput("past_" + name, cache(from + name, rows, past));
        binding.bindOutput("present_" + name, cache(to + name, rows, present));
      }
    }
    MemorySegment next = scratch.buffer("next_token", 8L * rows);
    binding.bindOutput("next_token", Tensor.int64(next, rows));
    binding.run();
    return next.toArray(ValueLayout.JAVA_LONG);
  }

  private Tensor cache(String buffer, long rows, long length) {
    long elements = rows * config.keyHeads() * length * config.headWidth();
    return Tensor.float32(
        scratch.buffer(buffer, elements * Float.BYTES),
        rows,
        config.keyHeads(),
        length,
        config.headWidth());
  }

  @Override
  public void close() {
    binding.close();
    step.close();
    scratch.close();
  }
}
