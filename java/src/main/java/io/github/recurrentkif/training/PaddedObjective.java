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
import io.github.recurrentkif.runtime.Binding;
import io.github.recurrentkif.runtime.Session;
import io.github.recurrentkif.runtime.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.stream.LongStream;
import org.jspecify.annotations.Nullable;

/**
 * The mean token cross-entropy of a model's answers and its gradient, by ONNX Runtime: one padded
 * micro-batch a pass.
 */
public final class PaddedObjective implements Objective<Batch> {

  private final ModelConfig config;
  private final Kernels kernels;
  private final List<DropoutPlace> dropoutPlaces;
  private final TrainingSession session;
  private final Scratch scratch;
  private final MemorySegment loss;

  /**
   * @param weights what the training graph reads; the caller changes them between calls
   * @param session of a training graph, its frozen weights handed in
   */
  public PaddedObjective(
      ModelConfig config,
      Session session,
      List<DropoutPlace> dropoutPlaces,
      ParameterVector weights,
      Kernels kernels) {
    this.config = config;
    this.kernels = kernels;
    this.dropoutPlaces = List.copyOf(dropoutPlaces);
    this.session = new TrainingSession(session, weights);
    this.scratch = this.session.scratch();
    this.loss = scratch.buffer("loss", JAVA_FLOAT.byteSize());
    this.session.binding().bindOutput("loss", Tensor.float32(loss));
  }

  @Override
  public double gradient(Batch batch, RandomKey randomness, ParameterVector gradient) {
    session.bindGradient(gradient);
    Binding binding = session.binding();
    bindBatch(binding, batch, false);
    bindDropout(binding, batch, randomness);
    binding.run();
    session.addMagnitudes(kernels);
    return loss.get(JAVA_FLOAT, 0);
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
    MemorySegment logits = arena.allocate(rows * config.vocabularySize() * Float.BYTES, 64);
    try (Binding once = session.forwardOnly()) {
      bindBatch(once, batch, true);
      once.bindOutput("logits", Tensor.float32(logits, rows, config.vocabularySize()));
      once.run();
    }
    return logits;
  }

  /**
   * @param everyLogit whether logits are wanted at every position; always so for a T5
   */
  private void bindBatch(Binding target, Batch batch, boolean everyLogit) {
    switch (config) {
      case T5Config t5 -> bindBatch(target, batch, t5);
      case LlamaConfig llama -> bindBatch(target, batch, llama, everyLogit);
    }
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
    session.bindLongs(target, "labels", labels, count, 1);
    session.bindFloats(target, "token_weights", tokenWeights, count, 1);
  }

  /**
   * The token at a position is learned from the row of the position before. Positions run from 0
   * through padding as well, as they do where a training script gives none.
   */
  private void bindBatch(Binding target, Batch batch, LlamaConfig llama, boolean everyLogit) {
    int length = batch.sourceLength();
    long[] logitRows = new long[batch.labels().length];
    long[] labels = new long[logitRows.length];
    float[] tokenWeights = new float[logitRows.length];
    int count = 0;
    int labelled = 0;
    for (int i = 0; i < logitRows.length; i++) {
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
    for (int i = 0; i < count; i++) {
      tokenWeights[i] /= Math.max(labelled, 1);
    }
    long[] positions = LongStream.range(0, length).toArray();
    session.bindLongs(target, "input_ids", batch.inputIds(), batch.rows(), length);
    session.bindLongs(target, "attention_mask", batch.attentionMask(), batch.rows(), length);
    RotaryAngles angles = new RotaryAngles(llama);
    TrainingSession.bindAngles(target, scratch, angles, positions, 1, length, 1, 1, angles.pairs());
    session.bindLongs(target, "logit_rows", Arrays.copyOf(logitRows, count), count);
    session.bindLongs(target, "labels", Arrays.copyOf(labels, count), count, 1);
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

  /** One pass for each micro-batch: their magnitudes are added up. */
  @Override
  public List<Double> gradient(Update<Batch> update, GradientSum sum) {
    session.beginMagnitudes(kernels);
    return Objective.super.gradient(update, sum);
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
