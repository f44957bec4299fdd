package io.github.recurrentkif.training;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import io.github.recurrentkif.data.Batch;
import io.github.recurrentkif.kernels.DropoutMask;
import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.kernels.RandomKey;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.model.DropoutPlace;
import io.github.recurrentkif.model.LlamaConfig;
import io.github.recurrentkif.model.ModelConfig;
import io.github.recurrentkif.model.RotaryAngles;
import io.github.recurrentkif.model.T5Config;
import io.github.recurrentkif.model.TaskAttentionConfig;
import io.github.recurrentkif.runtime.Binding;
import io.github.recurrentkif.runtime.Session;
import io.github.recurrentkif.runtime.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.LongStream;
import org.jspecify.annotations.Nullable;

/**
 * The mean token cross-entropy of a model's answers and its gradient, by ONNX Runtime: one padded
 * micro-batch a pass.
 */
public final class PaddedObjective implements Objective<Batch> {

  /** Where lengths are rounded up, this many at once, so that the same shapes come again. */
  private static final int SOURCE_STEP = 32;

  private static final int TARGET_STEP = 8;
  private static final int LABEL_STEP = 16;

  /** What tells the shapes of all inputs. */
  private record Extents(int rows, int sourceLength, int targetLength, int labels) {}

  private static final Extents ANY = new Extents(0, 0, 0, 0);

  private final ModelConfig config;
  private final Kernels kernels;
  private final List<DropoutPlace> dropoutPlaces;
  private final Map<String, Tensor> given;
  private final TrainingSession session;
  private final boolean recurringShapes;
  private final Scratch scratch;
  private final MemorySegment loss;
  private final Map<Extents, Binding> bindings = new HashMap<>();

  /**
   * Of a graph without an attention over tasks.
   *
   * @param weights what the training graph reads; the caller changes them between calls
   * @param session of a training graph, its frozen weights handed in
   * @param recurringShapes whether batches are padded further, so that there are few shapes, and
   *     each has a binding of its own: for a session that records its work
   */
  public PaddedObjective(
      ModelConfig config,
      Session session,
      List<DropoutPlace> dropoutPlaces,
      ParameterVector weights,
      Kernels kernels,
      boolean recurringShapes) {
    this(config, session, dropoutPlaces, weights, Map.of(), null, kernels, recurringShapes);
  }

  /**
   * @param given further inputs, where they lie
   * @param attention over the adapters of tasks, if the graph has such
   */
  PaddedObjective(
      ModelConfig config,
      Session session,
      List<DropoutPlace> dropoutPlaces,
      ParameterVector weights,
      Map<String, Tensor> given,
      @Nullable TaskAttention attention,
      Kernels kernels,
      boolean recurringShapes) {
    this.config = config;
    this.kernels = kernels;
    this.dropoutPlaces = List.copyOf(dropoutPlaces);
    this.given = Map.copyOf(given);
    this.session = new TrainingSession(session, weights, attention);
    this.recurringShapes = recurringShapes;
    this.scratch = this.session.scratch();
    this.loss = scratch.buffer("loss", JAVA_FLOAT.byteSize());
  }

  @Override
  public double gradient(Batch batch, RandomKey randomness, ParameterVector gradient) {
    session.beginAttention();
    queue(batch, randomness, gradient);
    session.addAttention(1);
    session.writeAttention(gradient);
    return scratch.floats(loss)[0];
  }

  /** All losses are fetched at once, for on a GPU each fetching waits. */
  @Override
  public List<Double> gradient(Update<Batch> update, GradientSum sum) {
    List<Batch> batches = update.microBatches();
    MemorySegment losses = scratch.buffer("losses", batches.size() * JAVA_FLOAT.byteSize());
    sum.begin(batches.size(), update.scale());
    session.beginMagnitudes(kernels);
    session.beginAttention();
    for (int i = 0; i < batches.size(); i++) {
      queue(batches.get(i), update.randomness().at(i), sum.part());
      kernels.device().copy(loss, losses.asSlice(i * JAVA_FLOAT.byteSize(), JAVA_FLOAT.byteSize()));
      session.addAttention(update.scale());
      sum.add(update.scale());
    }
    session.writeAttention(sum.total());
    List<Double> result = new ArrayList<>(batches.size());
    for (float value : scratch.floats(losses)) {
      result.add((double) value);
    }
    return result;
  }

  private void queue(Batch given, RandomKey randomness, ParameterVector gradient) {
    Batch batch = recurringShapes ? rounded(given) : given;
    Binding binding = bindings.computeIfAbsent(extents(batch), _ -> newBinding());
    session.bindGradient(binding, gradient);
    bindBatch(binding, batch, false);
    bindDropout(binding, batch, randomness);
    binding.run();
    session.addMagnitudes(kernels);
  }

  private Binding newBinding() {
    Binding binding = session.newBinding();
    binding.bindOutput("loss", Tensor.float32(loss));
    given.forEach(binding::bindInput);
    return binding;
  }

  private Batch rounded(Batch batch) {
    int sourceLength = roundUp(batch.sourceLength(), SOURCE_STEP);
    return batch.padded(
        sourceLength,
        switch (config) {
          case T5Config _ -> roundUp(batch.targetLength(), TARGET_STEP);
          // Its labels are those of the source's own positions.
          case LlamaConfig _ -> sourceLength;
        });
  }

  private static int roundUp(int length, int step) {
    return Math.ceilDiv(length, step) * step;
  }

  private Extents extents(Batch batch) {
    return recurringShapes
        ? new Extents(
            batch.rows(),
            batch.sourceLength(),
            batch.targetLength(),
            roundUp(batch.labelledTokens(), LABEL_STEP))
        : ANY;
  }

  /**
   * The logits of every target position, [rows*targetLength, vocabulary], in memory of the arena; a
   * model without dropout only.
   */
  public MemorySegment logits(Batch batch, Arena arena) {
    if (!dropoutPlaces.isEmpty()) {
      throw new IllegalStateException(
          "the training graph drops at random; its logits mean nothing");
    }
    long rows = batch.labels().length;
    long bytes = rows * config.vocabularySize() * Float.BYTES;
    MemorySegment logits = scratch.buffer("logits", bytes);
    session.beginAttention();
    try (Binding once = session.newBinding()) {
      bindBatch(once, batch, true);
      once.bindOutput("logits", Tensor.float32(logits, rows, config.vocabularySize()));
      once.run();
    }
    MemorySegment host = arena.allocate(bytes, Float.BYTES);
    kernels.device().download(logits, host);
    return host;
  }

  /**
   * @param everyLogit whether logits are wanted at every position; always so for a T5
   */
  private void bindBatch(Binding target, Batch batch, boolean everyLogit) {
    switch (config) {
      case T5Config t5 -> bindBatch(target, batch, t5);
      case LlamaConfig llama -> bindBatch(target, batch, llama, everyLogit);
    }
    session.bindAttention(target, source -> source.texts(batch));
    bindOwners(target, batch);
  }

  private void bindBatch(Binding target, Batch batch, T5Config t5) {
    int rows = batch.rows();
    int count = batch.labels().length;
    long[] decoderIds = new long[count];
    long[] labels = new long[count];
    float[] tokenWeights = new float[count];
    float weight = 1f / batch.labelledTokens();
    for (int i = 0; i < count; i++) {
      boolean first = i % batch.targetLength() == 0;
      long previous = first ? t5.decoderStartToken() : batch.labels()[i - 1];
      decoderIds[i] = previous == Batch.IGNORED ? t5.padToken() : previous;
      boolean counts = batch.labels()[i] != Batch.IGNORED;
      labels[i] = counts ? batch.labels()[i] : 0;
      tokenWeights[i] = counts ? weight : 0;
    }
    session.bindLongs(target, "input_ids", batch.inputIds(), rows, batch.sourceLength());
    session.bindLongs(target, "attention_mask", batch.attentionMask(), rows, batch.sourceLength());
    session.bindLongs(target, "decoder_input_ids", decoderIds, rows, batch.targetLength());
    bindLabels(target, labels);
    session.bindFloats(target, "token_weights", tokenWeights, count, 1);
  }

  /** A graph that holds answers has none. */
  private void bindLabels(Binding target, long[] labels) {
    if (session.hasInput("labels")) {
      session.bindLongs(target, "labels", labels, labels.length, 1);
    }
  }

  private void bindOwners(Binding target, Batch batch) {
    bindOwners(target, TaskAttentionConfig.SOURCE_TEXTS, batch.rows(), batch.sourceLength());
    bindOwners(target, TaskAttentionConfig.TARGET_TEXTS, batch.rows(), batch.targetLength());
  }

  private void bindOwners(Binding target, String name, int rows, int length) {
    session.bindOwners(target, name, TaskAttention.owners(rows, length), rows, length);
  }

  /**
   * The token at a position is learned from the row of the position before. Positions run from 0
   * through padding as well, as they do where a training script gives none.
   */
  private void bindBatch(Binding target, Batch batch, LlamaConfig llama, boolean everyLogit) {
    int length = batch.sourceLength();
    int rows = batch.labels().length;
    long[] logitRows = new long[rows + LABEL_STEP];
    long[] labels = new long[logitRows.length];
    float[] tokenWeights = new float[logitRows.length];
    int count = 0;
    int labelled = 0;
    for (int i = 0; i < rows; i++) {
      boolean counts = (i + 1) % length != 0 && batch.labels()[i + 1] != Batch.IGNORED;
      if (counts || everyLogit) {
        logitRows[count] = i;
        labels[count] = counts ? batch.labels()[i + 1] : 0;
        tokenWeights[count] = counts ? 1 : 0;
        count++;
        labelled += counts ? 1 : 0;
      }
    }
    // A batch whose answers were all cut off: one row that does not count keeps the loss at 0.
    count = Math.max(count, 1);
    if (recurringShapes && !everyLogit) {
      count = roundUp(count, LABEL_STEP);
    }
    for (int i = 0; i < count; i++) {
      tokenWeights[i] /= Math.max(labelled, 1);
    }
    long[] positions = LongStream.range(0, length).toArray();
    session.bindLongs(target, "input_ids", batch.inputIds(), batch.rows(), length);
    session.bindLongs(target, "attention_mask", batch.attentionMask(), batch.rows(), length);
    RotaryAngles angles = new RotaryAngles(llama);
    TrainingSession.bindAngles(target, scratch, angles, positions, 1, length, 1, 1, angles.pairs());
    session.bindLongs(target, "logit_rows", Arrays.copyOf(logitRows, count), count);
    bindLabels(target, Arrays.copyOf(labels, count));
    session.bindFloats(target, "token_weights", Arrays.copyOf(tokenWeights, count), count, 1);
  }

  private void bindDropout(Binding target, Batch batch, RandomKey randomness) {
    for (DropoutPlace place : dropoutPlaces) {
      long planes;
      long rows;
      long columns;
      switch (place.extent()) {
        case DropoutPlace.Rows extent -> {
          planes = batch.rows();
          rows = length(batch, extent.side());
          columns = extent.width();
        }
        case DropoutPlace.Pairs extent -> {
          planes = (long) batch.rows() * extent.heads();
          rows = length(batch, extent.queries());
          columns = length(batch, extent.keys());
        }
      }
      MemorySegment mask = scratch.buffer(place.input(), planes * rows * columns * Float.BYTES);
      kernels.dropoutMask(
          mask,
          planes,
          rows,
          columns,
          new DropoutMask(randomness, place.index(), place.probability()));
      target.bindInput(place.input(), Tensor.float32(mask, planes, rows, columns));
    }
  }

  private static long length(Batch batch, DropoutPlace.Side side) {
    return side == DropoutPlace.Side.SOURCE ? batch.sourceLength() : batch.targetLength();
  }

  @Override
  public @Nullable ParameterVector magnitudes() {
    return session.magnitudes();
  }

  @Override
  public void close() {
    session.close();
  }
}
