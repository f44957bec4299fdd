package io.github.recurrentkif.experiment;

import io.github.recurrentkif.continual.AccuracyMatrix;
import io.github.recurrentkif.data.Task;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.training.Learner;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import org.jspecify.annotations.Nullable;

/**
 * What a run came to. Nothing in it depends on the clock: equal runs have equal results.
 *
 * @param refusedUpdates updates that were left out because their gradient was not finite
 * @param weightsHash SHA-256 of the final trained weights, padding included
 */
public record RunResult(
    RunConfiguration configuration,
    List<Task> tasks,
    AccuracyMatrix matrix,
    long refusedUpdates,
    String weightsHash) {

  static RunResult of(
      RunConfiguration configuration,
      List<Task> tasks,
      AccuracyMatrix matrix,
      Learner<?> learner,
      ParameterVector weights) {
    return new RunResult(configuration, tasks, matrix, learner.refusedUpdates(), hash(weights));
  }

  private static String hash(ParameterVector weights) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment host = arena.allocate(weights.segment().byteSize(), Float.BYTES);
      weights.device().download(weights.segment(), host);
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      digest.update(host.asByteBuffer());
      return HexFormat.of().formatHex(digest.digest());
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java runtime has SHA-256", e);
    }
  }

  Map<String, Object> toJson() {
    Map<String, Object> measures = new LinkedHashMap<>();
    measures.put("overall_performance", orNull(matrix.overallPerformance()));
    measures.put("backward_transfer", orNull(matrix.backwardTransfer()));
    measures.put("forward_transfer_zero_shot", orNull(matrix.zeroShotForwardTransfer()));
    measures.put("average_anytime_accuracy", orNull(matrix.averageAnytimeAccuracy()));
    measures.put("forgetting", orNull(matrix.forgetting()));

    Map<String, Object> splits = new LinkedHashMap<>();
    tasks.forEach(task -> splits.put(task.name(), task.evaluationSplit().folder()));

    Map<String, Object> json = new LinkedHashMap<>();
    json.put("method", configuration.method().text());
    json.put("tasks", configuration.tasks());
    json.put("evaluated_on", splits);
    // Row j: accuracy on each task after learning task j; a task not learned yet may stand at the
    // end.
    json.put("accuracy_after_task", matrix.rows());
    json.put("measures", measures);
    json.put("refused_updates", refusedUpdates);
    json.put("weights_sha256", weightsHash);
    json.put("settings", configuration.settings().resolved());
    return json;
  }

  private static @Nullable Double orNull(OptionalDouble value) {
    return value.isPresent() ? value.getAsDouble() : null;
  }
}
