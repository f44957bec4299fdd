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
      Tensor offsets = offsets("source_offsets", lengths(sources));
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
      int going = 0;
      for (int i = 0; i < running.length; i++) {
        if (!answers.append(running[i], next[i])) {
          running[going] = running[i];
          next[going++] = next[i];
        }
      }
      running = Arrays.copyOf(running, going);
      return going == 0 ? Optional.empty() : Optional.of(Arrays.copyOf(next, going));
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
          causal ? "source_offsets" : "target_offsets", offsets("offsets", lengths(added)));
      bindOwners(
          binding,
          causal ? TaskAttentionConfig.SOURCE_TEXTS : TaskAttentionConfig.TARGET_TEXTS,
          added);
      int answered = bindCachedRows(added);
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

    /** Which rows of the cache the sequences have; how many sequences are added to. */
    private int bindCachedRows(List<long[]> added) {
      int answered = 0;
      int[] counts = new int[cached.size()];
      int references = 0;
      for (int s = 0; s < counts.length; s++) {
        answered += added.get(s).length > 0 ? 1 : 0;
        counts[s] = cached.get(s).count();
        references += counts[s];
      }
      long[] rows = new long[references];
      int at = 0;
      for (CachedRows of : cached) {
        at = of.copyTo(rows, at);
      }
      binding.bindInput("cached_offsets", offsets("cached_offsets", counts));
      binding.bindInput("cached_rows", Tensor.int64(scratch.longs("cached_rows", rows), at));
      return answered;
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
            offsets("asked_offsets", added.stream().mapToInt(t -> t.length > 0 ? 1 : 0).toArray()));
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
      long[] owners = TaskAttention.owners(lengths(rows));
      target.bindInput(name, Tensor.int64(scratch.longs(name, owners), owners.length));
    }
  }

  // Loops, not streams: a step is so short that interpreted streams would show.

  private static int[] lengths(List<long[]> rows) {
    int[] lengths = new int[rows.size()];
    for (int i = 0; i < lengths.length; i++) {
      lengths[i] = rows.get(i).length;
    }
    return lengths;
  }

  private Tensor ids(String name, List<long[]> rows) {
    int count = 0;
    for (long[] row : rows) {
      count += row.length;
    }
    long[] ids = new long[count];
    int at = 0;
    for (long[] row : rows) {
      System.arraycopy(row, 0, ids, at, row.length);
      at += row.length;
    }
    return Tensor.int64(scratch.longs(name, ids), count);
  }

  /** Where each of some lengths begins, and where the last ends. */
  private Tensor offsets(String name, int[] lengths) {
    long[] offsets = new long[lengths.length + 1];
    for (int i = 0; i < lengths.length; i++) {
      offsets[i + 1] = offsets[i] + lengths[i];
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

    /** Puts the rows where these have a place for them; where they end. */
    int copyTo(long[] target, int at) {
      System.arraycopy(rows, 0, target, at, count);
      return at + count;
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
