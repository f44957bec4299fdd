package io.github.recurrentkif.training;

import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.model.LlamaConfig;
import io.github.recurrentkif.model.RotaryAngles;
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
 * Greedy decoding of a decoder-only model with a key-value cache: prompts are padded on the left
 * and go through in one pass, then follows one token at a time for the rows that have not ended.
 *
 * <p>Positions are counted from a row's own first token, so that padding changes nothing. Keys and
 * values of the prompts stay where the first pass has put them; only those of the answers, which
 * are short, are copied as they grow.
 */
public final class CausalDecoder implements Decoder {

  private final LlamaConfig config;
  private final Session step;
  private final Binding binding;
  private final RotaryAngles angles;
  private final Scratch scratch;
  private final KeyValueCache prompt;

  /** Keys and values of the answers so far go back and forth between the two. */
  private final KeyValueCache even;

  private final KeyValueCache odd;
  private final @Nullable TaskAttention attention;

  /**
   * @param step of a decoder step graph, frozen weights handed in
   * @param weights the adapter, read where it lies at every call
   * @param attention over the adapters of tasks, if the graph has such
   */
  CausalDecoder(
      LlamaConfig config,
      Session step,
      ParameterVector weights,
      @Nullable TaskAttention attention) {
    this.attention = attention;
    this.config = config;
    this.scratch = new Scratch(weights.device());
    this.step = step;
    this.binding = step.binding();
    this.angles = new RotaryAngles(config);
    this.prompt = cache("prompt ");
    this.even = cache("even ");
    this.odd = cache("odd ");
    TrainingSession.bindWeights(binding, weights, step);
  }

  private KeyValueCache cache(String name) {
    return new KeyValueCache(scratch, name, config.layers(), config.keyHeads(), config.headWidth());
  }

  @Override
  public List<long[]> decode(List<long[]> prompts, int maximumTokens) {
    int rows = prompts.size();
    if (rows == 0) {
      return List.of();
    }
    if (prompts.stream().anyMatch(prompt -> prompt.length == 0)) {
      throw new IllegalArgumentException("a prompt has no tokens");
    }
    int length = prompts.stream().mapToInt(prompt -> prompt.length).max().orElseThrow();
    int[] padding = prompts.stream().mapToInt(prompt -> length - prompt.length).toArray();
    Answers answers = new Answers(rows, config.endTokens());
    int[] owners = IntStream.range(0, rows).toArray();
    if (attention != null) {
      binding.bindInput(TaskAttentionConfig.GATES, attention.gates(prompts, scratch));
      bindOwners(owners, rows, length);
    }
    long[] token =
        answers.take(
            promptPass(prompts, padding, length),
            (from, to) -> {
              padding[to] = padding[from];
              owners[to] = owners[from];
              prompt.move(from, to, length);
            });
    for (int taken = 1; taken < maximumTokens && answers.running() > 0; taken++) {
      int cached = taken - 1;
      KeyValueCache past = taken % 2 == 0 ? even : odd;
      KeyValueCache present = taken % 2 == 0 ? odd : even;
      int running = token.length;
      bindTokens(
          running, token, positions(padding, running, length + cached), padding, length + taken);
      if (attention != null) {
        bindOwners(owners, running, 1);
      }
      prompt.bindInput(binding, "prompt_", running, length);
      past.bindInput(binding, "past_", running, cached);
      present.bindOutput(binding, "present_", running, taken);
      int tokens = taken;
      token =
          answers.take(
              run(running),
              (from, to) -> {
                padding[to] = padding[from];
                owners[to] = owners[from];
                prompt.move(from, to, length);
                present.move(from, to, tokens);
              });
    }
    return answers.rows();
  }

  private void bindOwners(int[] owners, int rows, int length) {
    long[] each = TaskAttention.owners(owners, rows, length);
    String name = TaskAttentionConfig.SOURCE_TEXTS;
    binding.bindInput(name, Tensor.int64(scratch.longs(name, each), rows, length));
  }

  private long[] promptPass(List<long[]> prompts, int[] padding, int length) {
    int rows = prompts.size();
    long[] ids = new long[Math.multiplyExact(rows, length)];
    long[] positions = new long[ids.length];
    Arrays.fill(ids, config.padToken());
    for (int row = 0; row < rows; row++) {
      long[] tokens = prompts.get(row);
      for (int i = 0; i < tokens.length; i++) {
        ids[row * length + padding[row] + i] = tokens[i];
        positions[row * length + padding[row] + i] = i;
      }
    }
    bindTokens(rows, ids, positions, padding, length);
    // Nothing is cached yet; what this pass computes is what later ones find under "prompt".
    even.bindInput(binding, "prompt_", rows, 0);
    odd.bindInput(binding, "past_", rows, 0);
    prompt.bindOutput(binding, "present_", rows, length);
    return run(rows);
  }

  private static long[] positions(int[] padding, int rows, int column) {
    long[] positions = new long[rows];
    Arrays.setAll(positions, row -> column - (long) padding[row]);
    return positions;
  }

  /**
   * Some tokens of the running rows.
   *
   * @param present tokens per row, cached ones and padding included
   */
  private void bindTokens(int rows, long[] ids, long[] positions, int[] padding, int present) {
    int length = ids.length / rows;
    long[] mask = new long[Math.multiplyExact(rows, present)];
    for (int row = 0; row < rows; row++) {
      Arrays.fill(mask, row * present + padding[row], (row + 1) * present, 1);
    }
    binding.bindInput("input_ids", Tensor.int64(scratch.longs("input_ids", ids), rows, length));
    binding.bindInput(
        "attention_mask", Tensor.int64(scratch.longs("attention_mask", mask), rows, present));
    TrainingSession.bindAngles(
        binding, scratch, angles, positions, rows, length, 1, 1, angles.pairs());
  }

  private long[] run(int rows) {
    MemorySegment next = scratch.buffer("next_token", (long) rows * Long.BYTES);
    binding.bindOutput("next_token", Tensor.int64(next, rows));
    binding.run();
    return scratch.longs(next);
  }

  @Override
  public List<Integer> endTokens() {
    return config.endTokens();
  }

  @Override
  public void close() {
    binding.close();
    step.close();
    scratch.close();
  }
}
