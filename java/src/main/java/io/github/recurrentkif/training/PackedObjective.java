package io.github.recurrentkif.training;

import io.github.recurrentkif.data.Batch;
import io.github.recurrentkif.data.PackedSequences;
import io.github.recurrentkif.data.PackedSequences.Sequence;
import io.github.recurrentkif.data.SharedBeginnings;
import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.kernels.RandomKey;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.model.LlamaConfig;
import io.github.recurrentkif.model.ModelConfig;
import io.github.recurrentkif.model.RotaryAngles;
import io.github.recurrentkif.model.T5Config;
import io.github.recurrentkif.model.TaskAttentionConfig;
import io.github.recurrentkif.runtime.Binding;
import io.github.recurrentkif.runtime.Tensor;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.IntToLongFunction;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * The mean token cross-entropy of a model's answers and its gradient, by ONNX Runtime on operators
 * of our own: the real tokens of all micro-batches of an update in one pass, or in a few where they
 * are many.
 *
 * <p>A token weighs one over the labelled tokens of its micro-batch, times the update's scale: so
 * the gradient of the weighted sum is what adding up micro-batches gives.
 */
public final class PackedObjective implements Objective<Batch> {

  /** Target rows of a sequence, in the mean, up to which its answer counts as short. */
  private static final int SHORT = 24;

  private final ModelConfig config;
  private final Kernels kernels;
  private final int tokensPerPass;
  private final Way way;
  private final @Nullable Way wayOfShortAnswers;

  /** A graph, opened when it is first needed. */
  private static final class Way {

    private final Supplier<TrainingSession> opening;
    private @Nullable TrainingSession session;
    private @Nullable Binding binding;

    Way(Supplier<TrainingSession> opening) {
      this.opening = opening;
    }

    TrainingSession session() {
      if (session == null) {
        session = opening.get();
      }
      return session;
    }

    Binding binding() {
      if (binding == null) {
        binding = session().newBinding();
      }
      return binding;
    }

    void close() {
      if (session != null) {
        session.close();
      }
    }
  }

  /**
   * @param session of a packed training graph
   * @param ofShortAnswers of the graph for those, if there is one
   * @param tokensPerPass most tokens that go through the model at once, whose activations are held:
   *     an update with more is divided between its sequences; 0 for any number
   */
  PackedObjective(
      ModelConfig config,
      Supplier<TrainingSession> session,
      @Nullable Supplier<TrainingSession> ofShortAnswers,
      int tokensPerPass,
      Kernels kernels) {
    this.kernels = kernels;
    this.config = config;
    this.tokensPerPass = tokensPerPass;
    this.way = new Way(session);
    this.wayOfShortAnswers = ofShortAnswers == null ? null : new Way(ofShortAnswers);
  }

  private Way wayOf(PackedSequences packed) {
    Way shorter = wayOfShortAnswers;
    return shorter != null && packed.labels().length <= SHORT * packed.sequences().size()
        ? shorter
        : way;
  }

  @Override
  public double gradient(Batch batch, RandomKey randomness, ParameterVector gradient) {
    Pass pass = new Pass(List.of(batch), List.of(randomness), 1);
    PackedSequences packed = PackedSequences.of(List.of(batch));
    TrainingSession session = wayOf(packed).session();
    session.beginAttention();
    pass.run(packed, gradient);
    session.addAttention(1);
    session.writeAttention(gradient);
    return pass.losses().getFirst();
  }

  @Override
  public List<Double> gradient(Update<Batch> update, GradientSum sum) {
    List<Batch> batches = update.microBatches();
    List<RandomKey> keys = new ArrayList<>();
    for (int i = 0; i < batches.size(); i++) {
      keys.add(update.randomness().at(i));
    }
    Pass pass = new Pass(batches, keys, update.scale());
    List<PackedSequences> groups = groups(PackedSequences.of(batches));
    sum.begin(groups.size(), 1);
    // Where adapters are watched or weighed there is one way for all.
    TrainingSession session = wayOf(groups.getFirst()).session();
    session.beginMagnitudes(kernels);
    session.beginAttention();
    for (PackedSequences group : groups) {
      pass.run(group, sum.part());
      session.addMagnitudes(kernels);
      session.addAttention(1);
      sum.add(1);
    }
    session.writeAttention(sum.total());
    return pass.losses();
  }

  private List<PackedSequences> groups(PackedSequences all) {
    if (tokensPerPass == 0
        || all.sequences().stream().mapToInt(this::tokens).sum() <= tokensPerPass) {
      return List.of(all);
    }
    // In one pass a sequence without labels adds nothing; alone it would be a pass for nothing.
    List<Sequence> teaching = all.sequences().stream().filter(s -> teaches(all, s)).toList();
    return teaching.isEmpty()
        ? List.of(all)
        : all.only(teaching).groups(tokensPerPass, this::tokens);
  }

  private int tokens(Sequence sequence) {
    return switch (config) {
      case T5Config _ -> sequence.length() + sequence.targetLength();
      case LlamaConfig _ -> sequence.length();
    };
  }

  private boolean teaches(PackedSequences packed, Sequence sequence) {
    return switch (config) {
      case T5Config _ -> sequence.targetLength() > 0;
      case LlamaConfig _ -> !answers(packed, sequence, i -> i).isEmpty();
    };
  }

  /** A token to be learned. */
  private record Labelled(long row, long label, int batch) {}

  /** The micro-batches of one update. */
  private final class Pass {

    private final List<RandomKey> keys;
    private final float scale;
    private final int[] labelledTokens;
    private final double[] losses;

    Pass(List<Batch> batches, List<RandomKey> keys, float scale) {
      this.keys = keys;
      this.scale = scale;
      this.labelledTokens = batches.stream().mapToInt(PackedObjective.this::learned).toArray();
      this.losses = new double[batches.size()];
    }

    /** Of the micro-batches, as far as their sequences have been run. */
    List<Double> losses() {
      return Arrays.stream(losses).boxed().toList();
    }

    void run(PackedSequences packed, ParameterVector gradient) {
      Way taken = wayOf(packed);
      TrainingSession session = taken.session();
      Binding binding = taken.binding();
      session.bindGradient(binding, gradient);
      if (session.hasInput("dropout_keys")) {
        session.bindLongs(
            binding, "dropout_keys", dropoutKeys(packed), packed.sequences().size(), 3);
      }
      List<Labelled> labelled =
          switch (config) {
            case T5Config t5 -> {
              bindSources(session, binding, packed.sourceIds(), packed.sourceOffsets());
              yield bindTargets(session, binding, packed, t5);
            }
            case LlamaConfig llama -> bindTexts(session, binding, packed, llama);
          };
      bindAttention(session, binding, packed);
      int count = labelled.size();
      session.bindLongs(
          binding, "labels", labelled.stream().mapToLong(Labelled::label).toArray(), count, 1);
      session.bindFloats(binding, "token_weights", tokenWeights(labelled), count, 1);
      MemorySegment tokenLosses =
          session.scratch().buffer("token_losses", (long) count * Float.BYTES);
      binding.bindOutput("token_losses", Tensor.float32(tokenLosses, count, 1));
      binding.run();
      float[] values = session.scratch().floats(tokenLosses);
      for (int i = 0; i < count; i++) {
        int batch = labelled.get(i).batch();
        if (batch >= 0) {
          losses[batch] += values[i] / (double) labelledTokens[batch];
        }
      }
    }

    /** The scale is in the weights of the tokens. */
    private void bindAttention(TrainingSession session, Binding binding, PackedSequences packed) {
      List<Sequence> sequences = packed.sequences();
      session.bindAttention(
          binding,
          source -> sequences.stream().map(s -> source.text(packed.batchOf(s), s.row())).toList());
      long[] sources =
          TaskAttention.owners(sequences.stream().mapToInt(Sequence::length).toArray());
      long[] targets =
          TaskAttention.owners(sequences.stream().mapToInt(Sequence::targetLength).toArray());
      session.bindOwners(binding, TaskAttentionConfig.SOURCE_TEXTS, sources, sources.length);
      session.bindOwners(binding, TaskAttentionConfig.TARGET_TEXTS, targets, targets.length);
    }

    private long[] dropoutKeys(PackedSequences packed) {
      long[] values = new long[3 * packed.sequences().size()];
      int at = 0;
      for (Sequence sequence : packed.sequences()) {
        values[at++] = keys.get(sequence.batch()).bits();
        values[at++] = sequence.row();
        values[at++] = sequence.first();
      }
      return values;
    }

    private float[] tokenWeights(List<Labelled> labelled) {
      float[] tokenWeights = new float[labelled.size()];
      for (int i = 0; i < tokenWeights.length; i++) {
        int batch = labelled.get(i).batch();
        tokenWeights[i] = batch < 0 ? 0 : scale / labelledTokens[batch];
      }
      return tokenWeights;
    }
  }

  /** Tokens that the model learns from: a text's first has nothing before it. */
  private int learned(Batch batch) {
    return switch (config) {
      case T5Config _ -> batch.labelledTokens();
      case LlamaConfig _ -> {
        int count = 0;
        for (int i = 0; i < batch.labels().length; i++) {
          count += i % batch.targetLength() != 0 && batch.labels()[i] != Batch.IGNORED ? 1 : 0;
        }
        yield count;
      }
    };
  }

  private static void bindSources(
      TrainingSession session, Binding binding, long[] ids, long[] offsets) {
    session.bindLongs(binding, "input_ids", ids, ids.length);
    session.bindLongs(binding, "source_offsets", offsets, offsets.length);
  }

  private List<Labelled> bindTargets(
      TrainingSession session, Binding binding, PackedSequences packed, T5Config t5) {
    long[] labels = packed.labels();
    long[] decoderIds = new long[labels.length];
    List<Labelled> labelled = new ArrayList<>(labels.length);
    int at = 0;
    for (Sequence sequence : packed.sequences()) {
      for (int position = 0; position < sequence.targetLength(); position++) {
        long previous = position == 0 ? t5.decoderStartToken() : labels[at - 1];
        decoderIds[at] = previous == Batch.IGNORED ? t5.padToken() : previous;
        boolean counts = labels[at] != Batch.IGNORED;
        labelled.add(new Labelled(at, counts ? labels[at] : 0, counts ? sequence.batch() : -1));
        at++;
      }
    }
    session.bindLongs(binding, "decoder_input_ids", decoderIds, decoderIds.length);
    session.bindLongs(
        binding, "target_offsets", packed.targetOffsets(), packed.sequences().size() + 1);
    return labelled;
  }

  /** Texts with their answers: what several begin with once, if the graph lets them share rows. */
  private List<Labelled> bindTexts(
      TrainingSession session, Binding binding, PackedSequences packed, LlamaConfig llama) {
    List<Labelled> labelled = new ArrayList<>();
    if (session.hasInput("shared_rows")) {
      SharedBeginnings shared =
          new SharedBeginnings(packed, sequence -> firstAnswering(packed, sequence));
      bindSources(session, binding, shared.ids(), shared.offsets());
      long[] above = shared.rowsAbove();
      session.bindLongs(binding, "shared_rows", above, above.length);
      long[] offsets = shared.offsetsAbove();
      session.bindLongs(binding, "shared_offsets", offsets, offsets.length);
      bindAngles(session, binding, shared.positions(), llama);
      for (Sequence sequence : packed.sequences()) {
        labelled.addAll(answers(packed, sequence, i -> shared.row(sequence, i)));
      }
    } else {
      long[] offsets = packed.sourceOffsets();
      bindSources(session, binding, packed.sourceIds(), offsets);
      bindAngles(session, binding, packed.positions(), llama);
      int at = 0;
      for (Sequence sequence : packed.sequences()) {
        long first = offsets[at++];
        labelled.addAll(answers(packed, sequence, i -> first + i));
      }
    }
    long[] rows = labelled.stream().mapToLong(Labelled::row).toArray();
    session.bindLongs(binding, "logit_rows", rows, rows.length);
    return labelled;
  }

  private static void bindAngles(
      TrainingSession session, Binding binding, long[] positions, LlamaConfig llama) {
    RotaryAngles angles = new RotaryAngles(llama);
    TrainingSession.bindAngles(
        binding, session.scratch(), angles, positions, positions.length, angles.pairs());
  }

  /** The first token of a text that something is learned from; its last one if nothing is. */
  private static int firstAnswering(PackedSequences packed, Sequence sequence) {
    List<Labelled> learned = answers(packed, sequence, i -> i);
    return learned.isEmpty() ? Math.max(0, sequence.length() - 1) : (int) learned.getFirst().row();
  }

  /**
   * The tokens to learn of a sequence: the one at a position from the row of the position before.
   *
   * @param rows of positions
   */
  private static List<Labelled> answers(
      PackedSequences packed, Sequence sequence, IntToLongFunction rows) {
    List<Labelled> labelled = new ArrayList<>();
    Batch batch = packed.batchOf(sequence);
    int from = sequence.row() * batch.sourceLength() + sequence.first();
    for (int i = 1; i < sequence.length(); i++) {
      long label = batch.labels()[from + i];
      if (label != Batch.IGNORED) {
        labelled.add(new Labelled(rows.applyAsLong(i - 1), label, sequence.batch()));
      }
    }
    return labelled;
  }

  @Override
  public @Nullable ParameterVector magnitudes() {
    return way.session().magnitudes();
  }

  @Override
  public void close() {
    way.close();
    if (wayOfShortAnswers != null) {
      wayOfShortAnswers.close();
    }
  }
}
