package io.github.recurrentkif.experiment.verification;

import io.github.recurrentkif.continual.TaskPlan;
import io.github.recurrentkif.data.Batch;
import io.github.recurrentkif.kernels.RandomKey;
import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.training.LearningRateSchedule;
import io.github.recurrentkif.training.Update;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The plan of a recorded task: the very batches, at the learning rates of our own schedule. */
final class RecordedPlan implements TaskPlan<Batch> {

  private final RecordedTrajectory trajectory;
  private final RecordedTrajectory.RecordedTask task;
  private final LearningRateSchedule schedule;
  private final List<RecordedTrajectory.Inner> inner = new ArrayList<>();
  private final Map<String, RecordedTrajectory.Outer> outer = new HashMap<>();

  RecordedPlan(RecordedTrajectory trajectory, RecordedTrajectory.RecordedTask task) {
    this.trajectory = trajectory;
    this.task = task;
    RecordedTrajectory.Constants constants = task.constants();
    this.schedule =
        new LearningRateSchedule.WarmupLinear(
            constants.learningRate(), constants.warmup(), constants.updates());
    for (RecordedTrajectory.Event event : task.events()) {
      switch (event) {
        case RecordedTrajectory.Inner e -> inner.add(e);
        case RecordedTrajectory.Outer e -> outer.put(key(e.update(), e.repeat()), e);
        case RecordedTrajectory.Fusion e -> {}
      }
    }
  }

  private static String key(long completed, int repeat) {
    return completed + "/" + repeat;
  }

  @Override
  public long updates() {
    return inner.size();
  }

  RecordedTrajectory.Inner recordedInner(long completed) {
    return inner.get(Math.toIntExact(completed));
  }

  RecordedTrajectory.Outer recordedOuter(long completed, int repeat) {
    RecordedTrajectory.Outer event = outer.get(key(completed, repeat));
    if (event == null) {
      throw new InputException(
          trajectory.folder()
              + ": task "
              + task.name()
              + " has no recorded outer step "
              + repeat
              + " after update "
              + completed);
    }
    return event;
  }

  @Override
  public Update<Batch> inner(long completed) {
    List<Batch> batches =
        recordedInner(completed).microBatches().stream().map(trajectory::batch).toList();
    return update(completed, batches);
  }

  @Override
  public boolean hasMemory() {
    return task.hasMemory();
  }

  @Override
  public Update<Batch> outer(long completed, int repeat) {
    return update(
        completed, List.of(trajectory.batch(recordedOuter(completed, repeat).microBatch())));
  }

  private Update<Batch> update(long completed, List<Batch> batches) {
    // No dropout was recorded, so the key is never read.
    return new Update<>(
        batches, 1f / task.constants().accumulation(), schedule.at(completed), RandomKey.ofSeed(0));
  }
}
