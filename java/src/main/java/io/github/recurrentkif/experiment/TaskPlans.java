package io.github.recurrentkif.experiment;

import io.github.recurrentkif.continual.MemoryUse;
import io.github.recurrentkif.continual.SampledPlan;
import io.github.recurrentkif.continual.TaskPlan;
import io.github.recurrentkif.data.Batch;
import io.github.recurrentkif.data.EncodedSample;
import io.github.recurrentkif.data.MemorySampler;
import io.github.recurrentkif.data.Sample;
import io.github.recurrentkif.data.Task;
import io.github.recurrentkif.kernels.RandomKey;
import io.github.recurrentkif.training.LearningRateSchedule;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.LongAdder;

/**
 * What is learned in each task of a run, and the memory of the tasks before it. Which samples are
 * drawn follows from the key and the number of the task alone.
 */
public final class TaskPlans {

  private final Settings settings;
  private final SampleFormat format;
  private final MemoryUse memoryUse;
  private final RandomKey learning;
  private final RandomKey remembering;
  private final List<EncodedSample> memory = new ArrayList<>();
  private final LongAdder tokens = new LongAdder();

  public TaskPlans(
      Settings settings,
      SampleFormat format,
      MemoryUse memoryUse,
      RandomKey learning,
      RandomKey remembering) {
    this.settings = settings;
    this.format = format;
    this.memoryUse = memoryUse;
    this.learning = learning;
    this.remembering = remembering;
  }

  /** What is learned in the task of that number of a stream. */
  public TaskPlan<Batch> plan(int number, List<Task> tasks) {
    List<EncodedSample> samples = encode(tasks.get(number).train());
    List<EncodedSample> replayed = List.of();
    switch (memoryUse) {
      case NONE -> {}
      case MIXED -> {
        samples = new ArrayList<>(samples);
        samples.addAll(memory);
      }
      case REPLAYED -> replayed = List.copyOf(memory);
      case MIXED_AND_REPLAYED -> {
        samples = new ArrayList<>(samples);
        samples.addAll(memory);
        replayed = List.copyOf(memory);
      }
      case ALL_AT_ONCE -> {
        if (number > 0) {
          return TaskPlan.nothing();
        }
        samples = encode(tasks.stream().flatMap(task -> task.train().stream()).toList());
      }
    }
    SampledPlan.Sampling sampling =
        SampledPlan.Sampling.reference(
            settings.get(Settings.EPOCHS),
            settings.get(Settings.MICRO_BATCH_SIZE),
            settings.get(Settings.ACCUMULATION),
            settings.get(Settings.MEMORY_BATCH_SIZE));
    long updates = sampling.updates(samples.size());
    double innerRate = settings.get(Settings.LEARNING_RATE);
    double outerRate = settings.get(Settings.OUTER_LEARNING_RATE);
    return new SampledPlan<>(
        number,
        sampling,
        source(samples),
        replayed.isEmpty() ? null : source(replayed),
        schedule(innerRate, updates),
        schedule(outerRate == 0 ? innerRate : outerRate, updates),
        learning.at(number));
  }

  private LearningRateSchedule schedule(double peak, long updates) {
    return new LearningRateSchedule.WarmupLinear(
        peak, settings.get(Settings.WARMUP_UPDATES), updates);
  }

  /** Keeps some samples of a finished task. */
  public void remember(int number, Task task) {
    if (memoryUse != MemoryUse.NONE && memoryUse != MemoryUse.ALL_AT_ONCE) {
      memory.addAll(
          encode(
              MemorySampler.draw(
                  task.train(), settings.get(Settings.MEMORY_PERCENT), remembering.at(number))));
    }
  }

  /** Tokens of all batches that were drawn so far, padding not counted. */
  long tokens() {
    return tokens.sum();
  }

  private SampledPlan.Samples<Batch> source(List<EncodedSample> samples) {
    List<EncodedSample> all = List.copyOf(samples);
    return new SampledPlan.Samples<>(
        all.size(),
        numbers -> {
          List<EncodedSample> drawn = Arrays.stream(numbers).mapToObj(all::get).toList();
          drawn.forEach(sample -> tokens.add(sample.source().length + sample.labels().length));
          return format.batch(drawn);
        });
  }

  private List<EncodedSample> encode(List<Sample> samples) {
    return samples.stream().map(format::encode).toList();
  }
}
