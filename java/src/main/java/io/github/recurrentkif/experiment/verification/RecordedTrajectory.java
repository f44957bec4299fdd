package io.github.recurrentkif.experiment.verification;

import io.github.recurrentkif.data.Batch;
import io.github.recurrentkif.memory.InputException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;

/**
 * A run of the authors' own trainer, written down step by step: for each task its samples, the very
 * batches it saw, and what came out of every update and fusion.
 *
 * @param layout of the flat vectors in the folder's safetensors files
 */
record RecordedTrajectory(Path folder, List<FlatTensor> layout, List<RecordedTask> tasks) {

  /** One tensor of a flat vector: name without {@code .weight}, place and size in elements. */
  record FlatTensor(String name, int offset, int size) {}

  /** The constants one task was trained with. */
  record Constants(
      long updates,
      int accumulation,
      double learningRate,
      int warmup,
      double[] adam,
      double clip,
      int cycleLength,
      int outerSteps,
      double quantile,
      double beta1,
      double beta2,
      boolean resetInner,
      boolean resetOuter,
      int rank,
      double alpha) {}

  record Row(long[] inputIds, long[] labels) {}

  /** Where a row comes from. */
  record RowKey(int task, int row) {}

  record MicroBatch(
      List<RowKey> rows, int sourceLength, int targetLength, String hash, double loss) {}

  sealed interface Event {}

  record Inner(long update, List<MicroBatch> microBatches, double gradientNorm, double learningRate)
      implements Event {}

  record Outer(
      long update, int repeat, MicroBatch microBatch, double gradientNorm, double learningRate)
      implements Event {}

  record Fusion(
      long update,
      int index,
      double innerThreshold,
      double outerThreshold,
      long inner,
      long outer,
      long both)
      implements Event {}

  record Answer(RowKey row, long[] ids) {}

  record RecordedTask(
      int index,
      String name,
      Constants constants,
      List<Row> train,
      List<Row> test,
      boolean hasMemory,
      List<Event> events,
      List<Answer> answers) {

    /**
     * The first recorded step that is not the one the constants ask for at its place, or the first
     * that is missing.
     */
    Optional<String> firstMisplaced() {
      List<String> expected = new ArrayList<>();
      long updates = events.stream().filter(Inner.class::isInstance).count();
      int fusions = 0;
      for (long update = 1; update <= updates; update++) {
        expected.add("inner update " + update);
        if (hasMemory && update % constants.cycleLength() == 0) {
          for (int repeat = 0; repeat < constants.outerSteps(); repeat++) {
            expected.add("outer step " + repeat + " after update " + update);
          }
          expected.add("fusion " + fusions++ + " after update " + update);
        }
      }
      List<String> found =
          events.stream()
              .map(
                  event ->
                      switch (event) {
                        case Inner e -> "inner update " + (e.update() + 1);
                        case Outer e -> "outer step " + e.repeat() + " after update " + e.update();
                        case Fusion e -> "fusion " + e.index() + " after update " + e.update();
                      })
              .toList();
      for (int i = 0; i < Math.max(expected.size(), found.size()); i++) {
        String wanted = i < expected.size() ? expected.get(i) : "the end";
        String recorded = i < found.size() ? found.get(i) : "the end";
        if (!wanted.equals(recorded)) {
          return Optional.of("recorded is " + recorded + " where " + wanted + " is due");
        }
      }
      return Optional.empty();
    }
  }

  static RecordedTrajectory read(Path folder) {
    if (!Files.isRegularFile(folder.resolve("manifest.json"))) {
      throw new InputException(
          folder + ": not a recorded trajectory: there is no manifest.json in it");
    }
    JsonFile manifest = JsonFile.read(folder.resolve("manifest.json"));
    List<FlatTensor> layout = new ArrayList<>();
    for (JsonFile tensor : manifest.at("layout").elements()) {
      layout.add(
          new FlatTensor(
              tensor.at("name").text(), tensor.at("offset").whole(), tensor.at("size").whole()));
    }
    List<RecordedTask> tasks = new ArrayList<>();
    for (int index = 0; index < manifest.at("tasks").elements().size(); index++) {
      tasks.add(readTask(folder, index));
    }
    return new RecordedTrajectory(folder, layout, tasks);
  }

  private static RecordedTask readTask(Path folder, int index) {
    JsonFile samples = JsonFile.read(folder.resolve("samples-task" + index + ".json"));
    JsonFile trace = JsonFile.read(folder.resolve("trace-task" + index + ".json"));
    List<Answer> answers = new ArrayList<>();
    for (JsonFile answer :
        JsonFile.read(folder.resolve("generations-after-task" + index + ".json")).elements()) {
      answers.add(
          new Answer(
              new RowKey(answer.at("task").whole(), answer.at("row").whole()),
              answer.at("out_ids").longs()));
    }
    List<Event> events = new ArrayList<>();
    for (JsonFile event : trace.at("events").elements()) {
      events.add(readEvent(event, index));
    }
    return new RecordedTask(
        index,
        trace.at("task").text(),
        readConstants(trace),
        readRows(samples.at("train")),
        readRows(samples.at("test")),
        trace.at("n_memory").whole() > 0,
        events,
        answers);
  }

  private static Constants readConstants(JsonFile trace) {
    return new Constants(
        trace.at("max_steps").whole(),
        trace.at("accumulation").whole(),
        trace.at("learning_rate").number(),
        trace.at("warmup").whole(),
        trace.at("adam").elements().stream().mapToDouble(JsonFile::number).toArray(),
        trace.at("clip").number(),
        trace.at("inner_iterations").whole(),
        trace.at("outer_iterations").whole(),
        trace.at("quantile").number(),
        trace.at("beta1").number(),
        trace.at("beta2").number(),
        trace.at("reset_inner").flag(),
        trace.at("reset_outer").flag(),
        trace.at("lora_r").whole(),
        trace.at("lora_alpha").number());
  }

  private static List<Row> readRows(JsonFile rows) {
    return rows.elements().stream()
        .map(row -> new Row(row.at("input_ids").longs(), row.at("labels").longs()))
        .toList();
  }

  private static Event readEvent(JsonFile event, int task) {
    long update = event.at("update").whole();
    String kind = event.at("kind").text();
    return switch (kind) {
      case "inner" ->
          new Inner(
              update,
              event.at("micro").elements().stream().map(m -> readMicroBatch(m, task)).toList(),
              event.at("grad_norm").number(),
              event.at("lr").number());
      case "outer" ->
          new Outer(
              update,
              event.at("outer").whole(),
              readMicroBatch(event.at("micro").elements().getFirst(), task),
              event.at("grad_norm").number(),
              event.at("lr").number());
      case "fusion" ->
          new Fusion(
              update,
              event.at("fusion").whole(),
              event.at("thr_in").number(),
              event.at("thr_out").number(),
              event.at("n_in").whole(),
              event.at("n_out").whole(),
              event.at("n_both").whole());
      default ->
          throw new InputException(
              event.file()
                  + ": "
                  + event.place()
                  + "/kind should be inner, outer or fusion, found "
                  + kind);
    };
  }

  private static MicroBatch readMicroBatch(JsonFile micro, int task) {
    List<RowKey> rows = new ArrayList<>();
    for (JsonFile row : micro.at("rows").elements()) {
      if (row.node().isArray()) {
        rows.add(new RowKey(row.elements().get(0).whole(), row.elements().get(1).whole()));
      } else {
        rows.add(new RowKey(task, row.whole()));
      }
    }
    return new MicroBatch(
        rows,
        micro.at("src_len").whole(),
        micro.at("tgt_len").whole(),
        micro.at("sha").text(),
        micro.at("loss").number());
  }

  /**
   * The tensors a micro-batch consisted of.
   *
   * @throws InputException if their hash is not the recorded one
   */
  Batch batch(MicroBatch micro) {
    int rows = micro.rows().size();
    long[] ids = new long[rows * micro.sourceLength()];
    long[] mask = new long[ids.length];
    long[] labels = new long[rows * micro.targetLength()];
    Arrays.fill(labels, Batch.IGNORED);
    for (int i = 0; i < rows; i++) {
      RowKey key = micro.rows().get(i);
      Row row = row(key);
      if (row.inputIds().length > micro.sourceLength()
          || row.labels().length > micro.targetLength()) {
        throw new InputException(
            folder + ": the batch of rows " + micro.rows() + " is shorter than " + key);
      }
      System.arraycopy(row.inputIds(), 0, ids, i * micro.sourceLength(), row.inputIds().length);
      Arrays.fill(
          mask, i * micro.sourceLength(), i * micro.sourceLength() + row.inputIds().length, 1);
      System.arraycopy(row.labels(), 0, labels, i * micro.targetLength(), row.labels().length);
    }
    Batch batch = new Batch(rows, micro.sourceLength(), micro.targetLength(), ids, mask, labels);
    String hash = hash(batch);
    if (!hash.equals(micro.hash())) {
      throw new InputException(
          folder
              + ": the batch of rows "
              + micro.rows()
              + " has hash "
              + hash
              + ", recorded was "
              + micro.hash()
              + "; the samples do not belong to the trace");
    }
    return batch;
  }

  private Row row(RowKey key) {
    if (key.task() < 0
        || key.task() >= tasks.size()
        || key.row() < 0
        || key.row() >= tasks.get(key.task()).train().size()) {
      throw new InputException(folder + ": a trace names " + key + ", which no samples file has");
    }
    return tasks.get(key.task()).train().get(key.row());
  }

  /** The first 8 bytes of SHA-256 over ids, mask and labels as little-endian 64-bit integers. */
  private static String hash(Batch batch) {
    try {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      for (long[] values : new long[][] {batch.inputIds(), batch.attentionMask(), batch.labels()}) {
        ByteBuffer bytes = ByteBuffer.allocate(8 * values.length).order(ByteOrder.LITTLE_ENDIAN);
        bytes.asLongBuffer().put(values);
        digest.update(bytes);
      }
      return HexFormat.of().formatHex(digest.digest(), 0, 8);
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java runtime has SHA-256", e);
    }
  }
}
