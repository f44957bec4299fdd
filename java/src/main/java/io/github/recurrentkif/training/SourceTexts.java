package io.github.recurrentkif.training;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;

import io.github.recurrentkif.data.Batch;
import io.github.recurrentkif.memory.Shape;
import io.github.recurrentkif.model.LlamaConfig;
import io.github.recurrentkif.model.ModelConfig;
import io.github.recurrentkif.model.ModelFolder;
import io.github.recurrentkif.model.T5Config;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.stream.IntStream;

/**
 * The texts of samples and what their tokens mean to the backbone. What is learned of a text, its
 * answer, takes no part.
 */
final class SourceTexts {

  private final ModelConfig model;
  private final MemorySegment table;
  private final int width;

  /**
   * @param width of the embeddings
   */
  SourceTexts(ModelFolder folder, int width) {
    this.model = folder.config();
    this.width = width;
    this.table = folder.weight(model.embeddingName(), Shape.of(model.vocabularySize(), width));
  }

  int width() {
    return width;
  }

  int vocabularySize() {
    return model.vocabularySize();
  }

  /** Whether the labels of a batch lie beside its tokens. */
  boolean causal() {
    return switch (model) {
      case T5Config _ -> false;
      case LlamaConfig _ -> true;
    };
  }

  float embedding(long token, int element) {
    return table.getAtIndex(JAVA_FLOAT_UNALIGNED, token * width + element);
  }

  /** The tokens of a row before those that are learned. */
  long[] text(Batch batch, int row) {
    int from = row * batch.sourceLength();
    return IntStream.range(from, from + batch.sourceLength())
        .takeWhile(i -> !causal() || batch.labels()[i] == Batch.IGNORED)
        .filter(i -> batch.attentionMask()[i] != 0)
        .mapToLong(i -> batch.inputIds()[i])
        .toArray();
  }

  /** {@link #text} of every row. */
  List<long[]> texts(Batch batch) {
    return IntStream.range(0, batch.rows()).mapToObj(row -> text(batch, row)).toList();
  }
}
