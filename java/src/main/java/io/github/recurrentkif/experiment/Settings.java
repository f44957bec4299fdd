package io.github.recurrentkif.experiment;

import io.github.recurrentkif.continual.RecurrentKifSettings;
import io.github.recurrentkif.continual.RecurrentKifSettings.OuterLoop;
import io.github.recurrentkif.data.CausalEncoding;
import io.github.recurrentkif.data.PromptFormat;
import io.github.recurrentkif.graph.operators.Precision;
import io.github.recurrentkif.kernels.ImportanceRule.Formula;
import io.github.recurrentkif.kernels.MergeRule;
import io.github.recurrentkif.kernels.MergeRule.Coefficients;
import io.github.recurrentkif.kernels.MergeRule.Masks;
import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.model.LlamaConfig;
import io.github.recurrentkif.model.LoraConfig;
import io.github.recurrentkif.model.ModelConfig;
import io.github.recurrentkif.model.T5Config;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.SequencedSet;
import java.util.function.Function;

/**
 * The settings of a run: every key there is, with its default as the method's release has it for
 * T5, and the values somebody chose. Immutable.
 */
public final class Settings {

  /** As released or as published: presets of the constants that differ between the two. */
  public enum Mode {
    REFERENCE,
    PAPER
  }

  /** Which scores a score is held against. */
  public enum ThresholdScope {
    GLOBAL,
    TENSOR
  }

  public static final Setting<Integer> EPOCHS =
      Setting.whole("epochs", 10, 1, "passes over the training samples of a task");
  public static final Setting<Integer> MICRO_BATCH_SIZE =
      Setting.whole("micro-batch-size", 2, 1, "samples in one forward and backward pass");
  public static final Setting<Integer> ACCUMULATION =
      Setting.whole("accumulation", 4, 1, "micro-batches whose gradients make one update");
  public static final Setting<Double> LEARNING_RATE =
      Setting.positive("learning-rate", 3e-4, "of AdamW, at the peak of the schedule");
  public static final Setting<Integer> WARMUP_UPDATES =
      Setting.whole(
          "warmup-updates", 50, 0, "updates over which the learning rate rises from 0, per task");
  public static final Setting<Double> WEIGHT_DECAY =
      Setting.below("weight-decay", 0, 1, "of AdamW");
  public static final Setting<Double> MAXIMUM_GRADIENT_NORM =
      Setting.positive("maximum-gradient-norm", 1, "larger gradients are scaled down to it");
  public static final Setting<Mode> MODE =
      Setting.choice(
          "mode",
          Mode.REFERENCE,
          Mode.class,
          "recurrent-kif as its code was released, or as its paper states it");
  public static final Setting<Integer> CYCLE_LENGTH =
      Setting.whole("cycle-length", 8, 1, "inner updates between two fusions (Q)");
  public static final Setting<Integer> OUTER_STEPS =
      Setting.whole("outer-steps", 4, 1, "updates on memory before each fusion");
  public static final Setting<Integer> MEMORY_BATCH_SIZE =
      Setting.whole("memory-batch-size", 8, 1, "samples of memory in one outer update");
  public static final Setting<Double> MEMORY_PERCENT =
      Setting.upTo("memory-percent", 2, 100, "of each past task's training samples kept as memory");
  public static final Setting<Double> QUANTILE =
      Setting.upTo("quantile", 0.8, 1, "of the scores, above which a parameter is important");
  public static final Setting<Double> SENSITIVITY_DECAY =
      Setting.below(
          "sensitivity-decay", 0.85, 1, "moving average of the sensitivity (beta 1; paper: 0.55)");
  public static final Setting<Double> UNCERTAINTY_DECAY =
      Setting.below("uncertainty-decay", 0.85, 1, "moving average of the uncertainty (beta 2)");
  public static final Setting<Formula> IMPORTANCE_FORMULA =
      Setting.choice(
          "importance-formula",
          Formula.FIRST_ORDER,
          Formula.class,
          "what zeroing a parameter would do to the loss, approximately");
  public static final Setting<ThresholdScope> THRESHOLD_SCOPE =
      Setting.choice(
          "threshold-scope",
          ThresholdScope.GLOBAL,
          ThresholdScope.class,
          "whether scores are held against those of all parameters or of their own tensor");
  public static final Setting<Double> MERGE_SOFT_TEMPERATURE =
      Setting.zeroOrFrom(
          "merge-soft-temperature",
          0,
          1e-6,
          1e6,
          "above 0, both task vectors are weighed by a softmax of the scores, not by masks");
  public static final Setting<Coefficients> MERGE_SHARED =
      merging("merge-shared", Masks::shared, "important to both the new task and the history");
  public static final Setting<Coefficients> MERGE_NEW =
      merging("merge-new", Masks::newOnly, "important to the new task only");
  public static final Setting<Coefficients> MERGE_OLD =
      merging("merge-old", Masks::oldOnly, "important to the history only");
  public static final Setting<Coefficients> MERGE_REDUNDANT =
      merging("merge-redundant", Masks::redundant, "important to neither");
  public static final Setting<Integer> HISTORY_ESTIMATES =
      Setting.whole(
          "history-estimates",
          0,
          0,
          "memory batches that give the importance to the history once, before a task; 0: anew in"
              + " every cycle");
  public static final Setting<Double> OUTER_LEARNING_RATE =
      Setting.upTo(
          "outer-learning-rate",
          0,
          1,
          "of updates on memory, at the peak of the same schedule; 0 for that of the others");
  public static final Setting<Double> EWC_LAMBDA =
      Setting.upTo("ewc-lambda", 400, 1e9, "strength of the penalty; ewc");
  public static final Setting<Double> FISHER_DECAY =
      Setting.upTo(
          "fisher-decay", 1, 1, "of earlier tasks' Fisher information, with each task; ewc");
  public static final Setting<Integer> FISHER_SAMPLES =
      Setting.whole(
          "fisher-samples",
          0,
          0,
          "of a task that its Fisher information is estimated from; 0 for all; ewc");
  public static final Setting<Double> ORTHOGONALITY =
      Setting.upTo(
          "orthogonality",
          0.5,
          1e6,
          "weight of the overlap with earlier adapters (lambda 1); o-lora");
  public static final Setting<Double> ADAPTER_NORM =
      Setting.upTo("adapter-norm", 0, 1e6, "weight of the new adapter's norms (lambda 2); o-lora");
  public static final Setting<Double> SKILL_MEMORY =
      Setting.upTo(
          "skill-memory", 0.7, 1, "share of the old in the importance of skill units; tasl");
  public static final Setting<Double> SKILL_TEMPERATURE =
      Setting.positive(
          "skill-temperature",
          0.25,
          "of the softmax that weighs units important to both sides or neither; tasl");
  public static final Setting<Double> MAGNITUDE_QUANTILE =
      Setting.upTo(
          "magnitude-quantile",
          0.7,
          1,
          "of a matrix's output magnitudes, above which rows move; migu");
  public static final Setting<Double> META_RATE =
      Setting.positive(
          "meta-rate", 0.01, "of the inner steps on micro-batches, where it begins; vr-mcl");
  public static final Setting<Double> META_RATE_STEP =
      Setting.upTo("meta-rate-step", 0, 1e9, "how fast each parameter's rate is learned; vr-mcl");
  public static final Setting<Double> META_MOMENTUM =
      Setting.below("meta-momentum", 0.5, 1, "share of the corrected past hypergradient; vr-mcl");
  public static final Setting<Integer> EXPERTS =
      Setting.whole("experts", 4, 1, 256, "of every layer, each of rank lora-rank; moe-lora");
  public static final Setting<Integer> PROMPTS =
      Setting.whole("prompts", 10, 1, 4096, "soft prompts in the pool; l2p");
  public static final Setting<Integer> PROMPT_LENGTH =
      Setting.whole("prompt-length", 5, 1, 512, "vectors of a soft prompt; l2p, lfpt5");
  public static final Setting<Integer> PROMPTS_CHOSEN =
      Setting.whole("prompts-chosen", 5, 1, 512, "prompts before a text; l2p");
  public static final Setting<Double> KEY_PULL =
      Setting.upTo(
          "key-pull", 0.5, 1e6, "weight of the loss that draws chosen keys to the texts; l2p");
  public static final Setting<Integer> ATTENTION_HIDDEN =
      Setting.whole(
          "attention-hidden", 100, 1, 65536, "inner width of what makes a text's query; sapt-lora");
  public static final Setting<Double> ATTENTION_TEMPERATURE =
      Setting.positive(
          "attention-temperature",
          1,
          "of the softmax over tasks, times the root of the width; sapt-lora");
  public static final Setting<Double> RETENTION =
      Setting.upTo(
          "retention",
          1,
          1e6,
          "weight of what holds attention or answers on the memory; sapt-lora, lfpt5");
  public static final Setting<Integer> LORA_RANK =
      Setting.whole("lora-rank", 8, 1, 4096, "rank of the adapter");
  public static final Setting<Double> LORA_ALPHA =
      Setting.positive("lora-alpha", 32, "the adapter's product is scaled by alpha over rank");
  public static final Setting<Double> LORA_DROPOUT =
      Setting.below("lora-dropout", 0.05, 1, "on the input of the adapter");
  public static final Setting<SequencedSet<String>> LORA_TARGETS =
      Setting.words(
          "lora-targets",
          List.of("q", "v"),
          "linear layers that get an adapter; LLaMA and Qwen: q_proj,v_proj");
  public static final Setting<PromptFormat> PROMPT_FORMAT =
      Setting.choice(
          "prompt-format",
          PromptFormat.PLAIN,
          PromptFormat.class,
          "how instruction and input become a prompt; LLaMA and Qwen: alpaca");
  public static final Setting<Integer> MAXIMUM_TOKENS =
      Setting.whole(
          "maximum-tokens",
          512,
          4,
          "of prompt and answer together when training; LLaMA and Qwen only");
  public static final Setting<CausalEncoding.Cut> LONG_SAMPLES =
      Setting.choice(
          "cut",
          CausalEncoding.Cut.INPUT,
          CausalEncoding.Cut.class,
          "what longer samples lose; as released for LLaMA: answer");
  public static final Setting<OuterLoop> OUTER_LOOP =
      Setting.choice(
          "outer-loop",
          OuterLoop.SHARED_OPTIMIZER,
          OuterLoop.class,
          "whether memory moves weights; as released for LLaMA: importance-only");
  public static final Setting<Integer> MAXIMUM_SOURCE_TOKENS =
      Setting.whole("maximum-source-tokens", 1024, 2, "longer prompts are cut when training");
  public static final Setting<Integer> MAXIMUM_TARGET_TOKENS =
      Setting.whole("maximum-target-tokens", 128, 2, "longer answers are cut when training");
  public static final Setting<Integer> MAXIMUM_NEW_TOKENS =
      Setting.whole("maximum-new-tokens", 128, 1, "tokens an answer may have when evaluating");
  public static final Setting<Integer> EVALUATION_BATCH_SIZE =
      Setting.whole("evaluation-batch-size", 64, 1, "most samples decoded together");
  public static final Setting<Integer> MAXIMUM_TRAIN_SAMPLES =
      Setting.whole(
          "maximum-train-samples",
          0,
          0,
          Integer.MAX_VALUE,
          "of each task, the first ones; 0 for all");
  public static final Setting<Integer> MAXIMUM_TEST_SAMPLES =
      Setting.whole(
          "maximum-test-samples",
          0,
          0,
          Integer.MAX_VALUE,
          "of each task, the first ones; 0 for all");
  public static final Setting<Double> CHECKPOINT_SECONDS =
      Setting.upTo(
          "checkpoint-seconds",
          30,
          86_400,
          "between two checkpoints inside a task; 0 for every update");
  public static final Setting<Integer> TOKENS_PER_PASS =
      Setting.whole(
          "tokens-per-pass",
          4096,
          0,
          Integer.MAX_VALUE,
          "that go through the model at once when training: longer updates are divided, which"
              + " takes less memory; 0 for all of an update");
  public static final Setting<Precision> PRECISION =
      Setting.choice(
          "precision",
          Precision.FLOAT32,
          Precision.class,
          "of products with the backbone's weights and of attention; bf16-backward leaves losses"
              + " and answers exact, and is for the processor");
  public static final Setting<Integer> THREADS =
      Setting.whole("threads", 0, 0, 1024, "of the processor; 0 for all cores");
  public static final Setting<Long> SEED =
      Setting.seed("seed", 42, "of everything random: initial weights, order, memory, dropout");
  public static final Setting<String> LABEL =
      Setting.line(
          "label", 60, "what tables and reports call runs with these settings, all seeds of them");

  private static final List<Setting<?>> ALL =
      List.of(
          EPOCHS,
          MICRO_BATCH_SIZE,
          ACCUMULATION,
          LEARNING_RATE,
          WARMUP_UPDATES,
          WEIGHT_DECAY,
          MAXIMUM_GRADIENT_NORM,
          MODE,
          CYCLE_LENGTH,
          OUTER_STEPS,
          OUTER_LOOP,
          MEMORY_BATCH_SIZE,
          MEMORY_PERCENT,
          QUANTILE,
          SENSITIVITY_DECAY,
          UNCERTAINTY_DECAY,
          IMPORTANCE_FORMULA,
          THRESHOLD_SCOPE,
          MERGE_SOFT_TEMPERATURE,
          MERGE_SHARED,
          MERGE_NEW,
          MERGE_OLD,
          MERGE_REDUNDANT,
          HISTORY_ESTIMATES,
          OUTER_LEARNING_RATE,
          EWC_LAMBDA,
          FISHER_DECAY,
          FISHER_SAMPLES,
          ORTHOGONALITY,
          ADAPTER_NORM,
          SKILL_MEMORY,
          SKILL_TEMPERATURE,
          MAGNITUDE_QUANTILE,
          META_RATE,
          META_RATE_STEP,
          META_MOMENTUM,
          EXPERTS,
          PROMPTS,
          PROMPT_LENGTH,
          PROMPTS_CHOSEN,
          KEY_PULL,
          ATTENTION_HIDDEN,
          ATTENTION_TEMPERATURE,
          RETENTION,
          LORA_RANK,
          LORA_ALPHA,
          LORA_DROPOUT,
          LORA_TARGETS,
          PROMPT_FORMAT,
          MAXIMUM_TOKENS,
          LONG_SAMPLES,
          MAXIMUM_SOURCE_TOKENS,
          MAXIMUM_TARGET_TOKENS,
          MAXIMUM_NEW_TOKENS,
          EVALUATION_BATCH_SIZE,
          MAXIMUM_TRAIN_SAMPLES,
          MAXIMUM_TEST_SAMPLES,
          CHECKPOINT_SECONDS,
          TOKENS_PER_PASS,
          PRECISION,
          THREADS,
          SEED,
          LABEL);

  /** Where the paper's constants differ from those of the release. */
  private static final Map<Setting<?>, Object> OF_PAPER =
      Map.of(
          SENSITIVITY_DECAY, RecurrentKifSettings.paper().innerRule().beta1(),
          UNCERTAINTY_DECAY, RecurrentKifSettings.paper().innerRule().beta2(),
          MERGE_SHARED, MergeRule.paperMasks().shared(),
          MERGE_NEW, MergeRule.paperMasks().newOnly(),
          MERGE_OLD, MergeRule.paperMasks().oldOnly(),
          MERGE_REDUNDANT, MergeRule.paperMasks().redundant());

  /** What LLaMA and its kin need instead. */
  private static final Map<Setting<?>, Object> OF_LLAMA =
      Map.of(
          LORA_TARGETS,
          new LinkedHashSet<>(LlamaConfig.REFERENCE_TARGETS),
          PROMPT_FORMAT,
          PromptFormat.ALPACA);

  private final Map<Setting<?>, Object> chosen;

  private Settings(Map<Setting<?>, Object> chosen) {
    this.chosen = Map.copyOf(chosen);
  }

  private static Setting<Coefficients> merging(
      String name, Function<Masks, Coefficients> which, String parameters) {
    return Setting.pair(
        name,
        which.apply(MergeRule.referenceMasks()),
        "factors of the inner and the outer task vector for parameters " + parameters);
  }

  /** Every setting there is, in the order to show them. */
  public static List<Setting<?>> all() {
    return ALL;
  }

  public static Settings defaults() {
    return new Settings(Map.of());
  }

  /**
   * These settings with some of them changed.
   *
   * @param texts values by name, as typed
   * @throws InputException if a name is unknown (the nearest known one is named) or a value does
   *     not fit
   */
  public Settings with(Map<String, String> texts) {
    Map<Setting<?>, Object> changed = new LinkedHashMap<>(chosen);
    texts.forEach(
        (name, text) -> {
          Setting<?> setting = named(name);
          changed.put(setting, setting.parse(text));
        });
    return new Settings(changed);
  }

  private static Setting<?> named(String name) {
    for (Setting<?> setting : ALL) {
      if (setting.name().equals(name)) {
        return setting;
      }
    }
    String nearest = Spelling.nearest(name, ALL.stream().map(Setting::name).toList());
    throw new InputException(
        "unknown setting '"
            + name
            + "'; did you mean '"
            + nearest
            + "'? kif train --help lists all");
  }

  /** Whether the default of a setting follows from the mode or from the family of the model. */
  static boolean isPreset(Setting<?> setting) {
    return OF_PAPER.containsKey(setting) || OF_LLAMA.containsKey(setting);
  }

  /** These settings, with what nobody chose as the family of a model needs it. */
  public Settings forModel(ModelConfig model) {
    return switch (model) {
      case T5Config _ -> this;
      case LlamaConfig _ -> {
        Map<Setting<?>, Object> changed = new LinkedHashMap<>(chosen);
        OF_LLAMA.forEach(changed::putIfAbsent);
        yield new Settings(changed);
      }
    };
  }

  /** What was chosen, or the default of the mode that was chosen. */
  @SuppressWarnings("unchecked") // both maps hold under each setting only what that setting parsed
  public <T> T get(Setting<T> setting) {
    Object value = chosen.get(setting);
    if (value == null && chosen.get(MODE) == Mode.PAPER) {
      value = OF_PAPER.get(setting);
    }
    return value == null ? setting.defaultValue() : (T) value;
  }

  /** The adapter that these settings ask for. */
  public LoraConfig lora() {
    return new LoraConfig(get(LORA_RANK), get(LORA_ALPHA), get(LORA_DROPOUT), get(LORA_TARGETS));
  }

  /** The names of the settings that somebody chose. */
  List<String> chosenNames() {
    return ALL.stream().filter(chosen::containsKey).map(Setting::name).toList();
  }

  /** Every setting with its value, as typed. */
  public SequencedMap<String, String> resolved() {
    SequencedMap<String, String> texts = new LinkedHashMap<>();
    for (Setting<?> setting : ALL) {
      texts.put(setting.name(), Setting.print(get(setting)));
    }
    return texts;
  }
}
