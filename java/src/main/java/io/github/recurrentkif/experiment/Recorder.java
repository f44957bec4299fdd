package io.github.recurrentkif.experiment;

import io.github.recurrentkif.continual.LearningEvent;
import io.github.recurrentkif.continual.Observer;
import io.github.recurrentkif.kernels.MaskCounts;
import io.github.recurrentkif.training.Outcome;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BooleanSupplier;
import java.util.function.LongConsumer;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/** Writes down what a method does in a task, takes checkpoints, and passes on the wish to stop. */
final class Recorder implements Observer {

  private final String task;
  private final EventLog events;
  private final RunListener listener;
  private final BooleanSupplier stop;
  private final LongConsumer checkpoint;
  private final CheckpointClock clock;
  private final LongSupplier tokens;
  private final TimeSpent times;
  private @Nullable MaskCounts counts;

  /**
   * @param checkpoint saves the state after so many updates
   * @param clock says when the next checkpoint is due
   * @param tokens read so far
   * @param times where the time went
   */
  Recorder(
      String task,
      EventLog events,
      RunListener listener,
      BooleanSupplier stop,
      LongConsumer checkpoint,
      CheckpointClock clock,
      LongSupplier tokens,
      TimeSpent times) {
    this.task = task;
    this.events = events;
    this.listener = listener;
    this.stop = stop;
    this.checkpoint = checkpoint;
    this.clock = clock;
    this.tokens = tokens;
    this.times = times;
  }

  @Override
  public void on(LearningEvent event) {
    switch (event) {
      case LearningEvent.AfterInner e -> {
        times.lap(task, TimeSpent.Part.UPDATES);
        append("update", e.completed(), e.outcome());
        listener.tokens(tokens.getAsLong());
        listener.updated(e.completed(), e.outcome());
      }
      case LearningEvent.AfterOuter e -> {
        times.lap(task, TimeSpent.Part.REPLAY);
        append("replay", e.completed(), e.outcome());
      }
      case LearningEvent.BeforeMerge e -> {
        List<MaskCounts> byTensor = e.hasClasses() ? e.maskCountsByTensor() : List.of();
        counts = e.hasClasses() ? MaskCounts.sum(byTensor) : null;
        append(e, counts, byTensor);
      }
      case LearningEvent.AfterFusion e -> {
        times.lap(task, TimeSpent.Part.FUSION);
        if (counts != null) {
          listener.fused(e.completed(), counts);
        }
      }
    }
  }

  private Map<String, Object> line(String kind, long completed) {
    Map<String, Object> line = new LinkedHashMap<>();
    line.put("event", kind);
    line.put("task", task);
    line.put("update", completed);
    return line;
  }

  private void append(String kind, long completed, Outcome outcome) {
    Map<String, Object> line = line(kind, completed);
    line.put("loss", outcome.meanLoss());
    line.put("gradient_norm", outcome.gradientNorm());
    line.put("learning_rate", outcome.learningRate());
    if (outcome.refused()) {
      line.put("refused", true);
      listener.notice("update " + completed + " was refused: its gradient is not finite");
    }
    events.append(line);
  }

  private void append(
      LearningEvent.BeforeMerge e, @Nullable MaskCounts classes, List<MaskCounts> byTensor) {
    Map<String, Object> line = line("fusion", e.completed());
    line.put("inner_threshold", e.inner().threshold().value());
    line.put("outer_threshold", e.outer().threshold().value());
    if (classes != null) {
      line.put("shared", classes.shared());
      line.put("new_only", classes.newOnly());
      line.put("old_only", classes.oldOnly());
      line.put("redundant", classes.redundant());
      // Of each tensor, in the order of the event "tensors"; the rest of it is redundant.
      Map<String, Object> parts = new LinkedHashMap<>();
      parts.put("shared", byTensor.stream().map(MaskCounts::shared).toList());
      parts.put("new_only", byTensor.stream().map(MaskCounts::newOnly).toList());
      parts.put("old_only", byTensor.stream().map(MaskCounts::oldOnly).toList());
      line.put("by_tensor", parts);
    }
    events.append(line);
  }

  @Override
  public boolean stopsAfter(long completed) {
    if (stop.getAsBoolean()) {
      return true;
    }
    if (clock.due()) {
      checkpoint.accept(completed);
      clock.taken();
    }
    return false;
  }
}
