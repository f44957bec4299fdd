package io.github.recurrentkif.experiment;

import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.model.Initialization;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.stream.Collectors;

/** The settings of a pretraining: every key there is, and the values somebody chose. Immutable. */
public final class PretrainingSettings {

  public static final Setting<Integer> UPDATES =
      Setting.whole("updates", 4000, 1, "steps of the optimiser");
  public static final Setting<Integer> BATCH_SIZE =
      Setting.whole("batch-size", 32, 1, "samples in one forward and backward pass");
  public static final Setting<Integer> ACCUMULATION =
      Setting.whole("accumulation", 1, 1, "passes whose gradients make one update");
  public static final Setting<Double> LEARNING_RATE =
      Setting.positive("learning-rate", 3e-3, "of AdamW, at the peak of the schedule");
  public static final Setting<Integer> WARMUP_UPDATES =
      Setting.whole("warmup-updates", 200, 0, "updates over which the learning rate rises from 0");
  public static final Setting<Integer> SCHEDULE_UPDATES =
      Setting.whole(
          "schedule-updates",
          0,
          0,
          "updates over which the learning rate rises and falls to 0; 0 for all, more to stop"
              + " early");
  public static final Setting<Double> WEIGHT_DECAY =
      Setting.below("weight-decay", 0, 1, "of AdamW");
  public static final Setting<Double> MAXIMUM_GRADIENT_NORM =
      Setting.positive("maximum-gradient-norm", 1, "larger gradients are scaled down to it");
  public static final Setting<Double> TEXT_SHARE =
      Setting.upTo("text-share", 0.3, 1, "of the samples that are text; the rest are prompts");
  public static final Setting<Double> NOISE_DENSITY =
      Setting.below("noise-density", 0.15, 1, "share of a text's tokens that are hidden; T5 only");
  public static final Setting<Double> MEAN_SPAN =
      Setting.positive("mean-span", 3, "hidden tokens behind one sentinel, on average; T5 only");
  public static final Setting<Integer> MAXIMUM_TOKENS =
      Setting.whole("maximum-tokens", 128, 8, "longer texts and prompts are cut");
  public static final Setting<Integer> HELD_OUT_SAMPLES =
      Setting.whole("held-out-samples", 256, 1, "of each kind, never trained on");
  public static final Setting<Integer> HELD_OUT_INTERVAL =
      Setting.whole("held-out-interval", 500, 1, "updates between two held-out losses");
  public static final Setting<Initialization> INITIALIZATION =
      Setting.choice(
          "initialization",
          Initialization.STANDARD,
          Initialization.class,
          "of the weights; mimetic (T5): the encoder first attends to equal words and to"
              + " neighbours");
  public static final Setting<Double> CHECKPOINT_SECONDS =
      Setting.upTo("checkpoint-seconds", 30, 86_400, "between two checkpoints; 0 for every update");
  public static final Setting<Integer> THREADS =
      Setting.whole("threads", 0, 0, "of the processor; 0 for all cores");
  public static final Setting<Long> SEED =
      Setting.seed("seed", 1, "of everything random: weights, samples, spans, dropout");

  private static final List<Setting<?>> ALL =
      List.of(
          UPDATES,
          BATCH_SIZE,
          ACCUMULATION,
          LEARNING_RATE,
          WARMUP_UPDATES,
          SCHEDULE_UPDATES,
          WEIGHT_DECAY,
          MAXIMUM_GRADIENT_NORM,
          TEXT_SHARE,
          NOISE_DENSITY,
          MEAN_SPAN,
          MAXIMUM_TOKENS,
          HELD_OUT_SAMPLES,
          HELD_OUT_INTERVAL,
          INITIALIZATION,
          CHECKPOINT_SECONDS,
          THREADS,
          SEED);

  private final Map<Setting<?>, Object> chosen;

  private PretrainingSettings(Map<Setting<?>, Object> chosen) {
    this.chosen = Map.copyOf(chosen);
  }

  /** Every setting there is, in the order to show them. */
  public static List<Setting<?>> all() {
    return ALL;
  }

  public static PretrainingSettings defaults() {
    return new PretrainingSettings(Map.of());
  }

  /**
   * These settings with some of them changed.
   *
   * @throws InputException if a name is unknown or a value does not fit
   */
  public PretrainingSettings with(Map<String, String> texts) {
    Map<Setting<?>, Object> changed = new LinkedHashMap<>(chosen);
    texts.forEach(
        (name, text) -> {
          Setting<?> setting =
              ALL.stream()
                  .filter(known -> known.name().equals(name))
                  .findFirst()
                  .orElseThrow(
                      () ->
                          new InputException(
                              "unknown setting '%s' of a pretraining; there are %s"
                                  .formatted(
                                      name,
                                      ALL.stream()
                                          .map(Setting::name)
                                          .collect(Collectors.joining(", ")))));
          changed.put(setting, setting.parse(text));
        });
    return new PretrainingSettings(changed);
  }

  /** What was chosen, or the default. */
  @SuppressWarnings("unchecked") // with() stores under each setting only what that setting parsed
  public <T> T get(Setting<T> setting) {
    return (T) chosen.getOrDefault(setting, setting.defaultValue());
  }

  /** Every setting with its value, as typed. */
  SequencedMap<String, String> resolved() {
    SequencedMap<String, String> texts = new LinkedHashMap<>();
    ALL.forEach(setting -> texts.put(setting.name(), Setting.print(get(setting))));
    return texts;
  }
}
