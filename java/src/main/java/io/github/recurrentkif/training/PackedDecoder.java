package io.github.recurrentkif.training;

import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.model.LlamaConfig;
import io.github.recurrentkif.model.ModelConfig;
import io.github.recurrentkif.model.RotaryAngles;
import io.github.recurrentkif.model.T5Config;
import io.github.recurrentkif.model.TaskAttentionConfig;
import io.github.recurrentkif.runtime.Binding;
import io.github.recurrentkif.runtime.Session;
import io.github.recurrentkif.runtime.Tensor;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.jspecify.annotations.Nullable;

/**
 * Greedy decoding over packed rows, on operators of our own: no padding, and no key or value is
 * computed or copied twice. Rows that have ended cost nothing more.
 *
 * <p>Of a T5 the encoder runs once for a batch. Prompts of a decoder-only model go through in one
 * pass; what all of them begin with goes through once and all attend to it.
 */
public final class PackedDecoder implements Decoder {

  /** A beginning in common that is shorter is not worth a pass of its own. */
  private static final int LEAST_SHARED = 8;

  private final ModelConfig config;
  private final @Nullable Encoder encoder;
  private final Session step;
  private final Binding binding;
  private final Scratch scratch;
  private final RowCache cache;
  private final @Nullable TaskAttention attention;

  /** The encoder of a T5, and the rows, or keys and values, that its decoder attends to. */
  private record Encoder(Session session, Binding binding, RowCache cross) {}

  /**
   * @param encoder of a packed encoder graph, frozen weights handed in; for a T5 alone
   * @param step of a packed decoder step graph, frozen weights handed in
   * @param weights the adapter, read where it lies at every call
   * @param attention over the adapters of tasks, if the graphs have such
   */
  PackedDecoder(
      ModelConfig config,
      @Nullable Session encoder,
      Session step,
      ParameterVector weights,
      @Nullable TaskAttention attention) {
    this.attention = attention;
    this.config = config;
    this.scratch = new Scratch(weights.device());
    this.step = step;
    this.binding = step.binding();
    TrainingSession.bindWeights(binding, weights, step);
    this.cache = newCache(config);
    if (encoder == null) {
      this.encoder = null;
    } else {
      this.encoder = new Encoder(encoder, encoder.binding(), newCache(config, encoder));
      TrainingSession.bindWeights(this.encoder.binding(), weights, encoder);
    }
  }

  private static RowCache newCache(ModelConfig config) {
    return switch (config) {
      case T5Config t5 -> RowCache.ofKeysAndValues(t5.decoderLayers(), t5.innerWidth());
      case LlamaConfig llama ->
          RowCache.ofKeysAndValues(llama.layers(), (long) llama.keyHeads() * llama.headWidth());
    };
  }

  /** Of what the encoder gives. */
  private static RowCache newCache(ModelConfig config, Session encoder) {
    return config instanceof T5Config t5 && encoder.outputs().containsKey("cross_source")
        ? new RowCache(List.of("source"), t5.modelWidth())
        : newCache(config);
  }

  @Override
  public List<long[]> decode(List<long[]> prompts, int maximumTokens) {
    if (prompts.isEmpty()) {
      return List.of();
    }
    if (attention != null) {
      Tensor gates = attention.gates(prompts, scratch);
      binding.bindInput(TaskAttentionConfig.GATES, gates);
      if (encoder != null) {
        encoder.binding().bindInput(TaskAttentionConfig.GATES, gates);
      }
    }
    Run run = new Run(prompts.size());
    long[] next =
        switch (config) {
          case T5Config t5 -> run.begin(t5, prompts);
          case LlamaConfig _ -> run.begin(prompts);
        };
    Optional<long[]> going = run.take(next);
    for (int taken = 1; going.isPresent() && taken < maximumTokens; taken++) {
      going = run.take(run.advance(going.get()));
    }
    return run.answers.rows();
  }

  /** The answers to one batch. */
  private final class Run {

    private final Answers answers;

    /** Of each sequence, the rows of the cache that it attends to. */
    private final List<CachedRows> cached = new ArrayList<>();

    /** The sequences that have not ended. */
    private int[] running;

    Run(int sequences) {
      answers = new Answers(sequences, config.endTokens());
      running = IntStream.range(0, sequences).toArray();
      for (int i = 0; i < sequences; i++) {
        cached.add(new CachedRows());
      }
      cache.clear();
    }

    /** Encodes the sources; the first tokens of their answers. */
    long[] begin(T5Config t5, List<long[]> sources) {
      Encoder encoding = Objects.requireNonNull(encoder, "a T5 has an encoder");
      Tensor offsets = offsets("source_offsets", sources.stream().mapToInt(s -> s.length));
      int tokens = sources.stream().mapToInt(s -> s.length).sum();
      encoding.binding().bindInput("source_offsets", offsets);
      encoding.binding().bindInput("input_ids", ids("source_ids", sources));
      bindOwners(encoding.binding(), TaskAttentionConfig.SOURCE_TEXTS, sources);
      encoding.cross().bindOutput(encoding.binding(), "cross_", tokens);
      encoding.binding().run();
      encoding.cross().added(tokens);
      binding.bindInput("source_offsets", offsets);
      encoding.cross().bindInput(binding, "cross_");
      long[] start = new long[sources.size()];
      Arrays.fill(start, t5.decoderStartToken());
      return advance(start);
    }

    /** Reads the prompts; the first tokens of their answers. */
    long[] begin(List<long[]> prompts) {
      if (prompts.stream().anyMatch(prompt -> prompt.length == 0)) {
        throw new IllegalArgumentException("a prompt has no tokens");
      }
      // Rows that an attention weighs by the whole text have no beginning in common.
      int shared = prompts.size() == 1 || attention != null ? 0 : commonBeginning(prompts);
      if (shared < LEAST_SHARED) {
        return pass(prompts);
      }
      List<long[]> beginning = new ArrayList<>(Collections.nCopies(prompts.size(), new long[0]));
      beginning.set(0, Arrays.copyOf(prompts.getFirst(), shared));
      pass(beginning);
      cached.stream().skip(1).forEach(rows -> rows.append(0, shared));
      return pass(prompts.stream().map(p -> Arrays.copyOfRange(p, shared, p.length)).toList());
    }

    /** One more token of every running sequence, to the one after it. */
    long[] advance(long[] tokens) {
      List<long[]> added = new ArrayList<>(Collections.nCopies(cached.size(), new long[0]));
      for (int i = 0; i < running.length; i++) {
        added.set(running[i], new long[] {tokens[i]});
      }
      return pass(added);
    }

    /**
     * Takes the tokens into the answers.
     *
     * @param next for each running sequence
     * @return for those that still run, or nothing if none does
     */
    Optional<long[]> take(long[] next) {
      int[] going =
          IntStream.range(0, running.length)
              .filter(i -> !answers.append(running[i], next[i]))
              .toArray();
      running = Arrays.stream(going).map(i -> running[i]).toArray();
      long[] tokens = Arrays.stream(going).mapToLong(i -> next[i]).toArray();
      return tokens.length == 0 ? Optional.empty() : Optional.of(tokens);
    }

    /**
     * Some tokens of every sequence, behind those that are cached.
     *
     * @return for each sequence with tokens the next one
     */
    private long[] pass(List<long[]> added) {
      boolean causal = config instanceof LlamaConfig;
      Tensor ids = ids("ids", added);
      int count = (int) ids.shape().elements();
      binding.bindInput(causal ? "input_ids" : "decoder_input_ids", ids);
      binding.bindInput(
          causal ? "source_offsets" : "target_offsets",
          offsets("offsets", added.stream().mapToInt(tokens -> tokens.length)));
      bindOwners(
          binding,
          causal ? TaskAttentionConfig.SOURCE_TEXTS : TaskAttentionConfig.TARGET_TEXTS,
          added);
      binding.bindInput(
          "cached_offsets", offsets("cached_offsets", cached.stream().mapToInt(CachedRows::count)));
      long[] references = cached.stream().flatMapToLong(CachedRows::stream).toArray();
      binding.bindInput(
          "cached_rows", Tensor.int64(scratch.longs("cached_rows", references), references.length));
      int answered = (int) added.stream().filter(tokens -> tokens.length > 0).count();
      if (config instanceof LlamaConfig llama) {
        bindPlaces(llama, added);
      }
      MemorySegment next = scratch.buffer("next_token", (long) answered * Long.BYTES);
      binding.bindOutput("next_token", Tensor.int64(next, answered));
      cache.bind(binding, "cached_", "new_", count);
      binding.run();
      int row = cache.rows();
      for (int s = 0; s < added.size(); s++) {
        cached.get(s).append(row, added.get(s).length);
        row += added.get(s).length;
      }
      cache.added(count);
      return scratch.longs(next);
    }

    /** The angles of the new tokens' positions, and which rows the answers come from. */
    private void bindPlaces(LlamaConfig llama, List<long[]> added) {
      long[] positions = new long[added.stream().mapToInt(tokens -> tokens.length).sum()];
      List<Long> lastRows = new ArrayList<>();
      int at = 0;
      for (int s = 0; s < added.size(); s++) {
        for (int i = 0; i < added.get(s).length; i++) {
          positions[at++] = (long) cached.get(s).count() + i;
        }
        if (added.get(s).length > 0) {
          lastRows.add(at - 1L);
        }
      }
      RotaryAngles angles = new RotaryAngles(llama);
      TrainingSession.bindAngles(
          binding, scratch, angles, positions, positions.length, angles.pairs());
      long[] rows = lastRows.stream().mapToLong(row -> row).toArray();
      binding.bindInput("asked_rows", Tensor.int64(scratch.longs("asked_rows", rows), rows.length));
      if (step.inputs().containsKey("asked_offsets")) {
        binding.bindInput(
            "asked_offsets",
            offsets("asked_offsets", added.stream().mapToInt(t -> t.length > 0 ? 1 : 0)));
      }
    }
  }

  /** How many tokens all prompts begin with, at least one left of each. */
  private static int commonBeginning(List<long[]> prompts) {
    long[] first = prompts.getFirst();
    int common = first.length - 1;
    for (long[] prompt : prompts) {
      int most = Math.min(common, prompt.length - 1);
      int mismatch = Arrays.mismatch(first, 0, most, prompt, 0, most);
      common = mismatch < 0 ? most : mismatch;
    }
    return common;
  }

  /** Whose text each of some rows belongs to, if the graph asks. */
  private void bindOwners(Binding target, String name, List<long[]> rows) {
    if (attention != null) {
      long[] owners = TaskAttention.owners(rows.stream().mapToInt(tokens -> tokens.length));
      target.bindInput(name, Tensor.int64(scratch.longs(name, owners), owners.length));
    }
  }

  private Tensor ids(String name, List<long[]> rows) {
    long[] ids = rows.stream().flatMapToLong(Arrays::stream).toArray();
    return Tensor.int64(scratch.longs(name, ids), ids.length);
  }

  /** Where each of some lengths begins, and where the last ends. */
  private Tensor offsets(String name, IntStream lengths) {
    int[] each = lengths.toArray();
    long[] offsets = new long[each.length + 1];
    for (int i = 0; i < each.length; i++) {
      offsets[i + 1] = offsets[i] + each[i];
    }
    return Tensor.int64(scratch.longs(name, offsets), offsets.length);
  }

  /** Rows of the cache, in the order of their tokens. */
  private static final class CachedRows {

    private long[] rows = new long[16];
    private int count;

    /** Some rows one behind the other. */
    void append(int first, int many) {
      if (count + many > rows.length) {
        rows = Arrays.copyOf(rows, Math.max(2 * rows.length, count + many));
      }
      for (int i = 0; i < many; i++) {
        rows[count++] = (long) first + i;
      }
    }

    int count() {
      return count;
    }

    LongStream stream() {
      return Arrays.stream(rows, 0, count);
    }
  }

  @Override
  public List<Integer> endTokens() {
    return config.endTokens();
  }

  @Override
  public void close() {
    binding.close();
    step.close();
    if (encoder != null) {
      encoder.binding().close();
      encoder.session().close();
      encoder.cross().close();
    }
    cache.close();
    scratch.close();
  }
}
