package io.github.recurrentkif.experiment;

import io.github.recurrentkif.continual.ContinualMethod;
import io.github.recurrentkif.continual.Ewc;
import io.github.recurrentkif.continual.IncrementalLora;
import io.github.recurrentkif.continual.Joint;
import io.github.recurrentkif.continual.Lfpt5;
import io.github.recurrentkif.continual.LoraReplay;
import io.github.recurrentkif.continual.Migu;
import io.github.recurrentkif.continual.OLora;
import io.github.recurrentkif.continual.PerTask;
import io.github.recurrentkif.continual.RecurrentKif;
import io.github.recurrentkif.continual.RecurrentKifSettings;
import io.github.recurrentkif.continual.RecurrentKifSettings.OuterLoop;
import io.github.recurrentkif.continual.SaptLora;
import io.github.recurrentkif.continual.SequentialLora;
import io.github.recurrentkif.continual.Tasl;
import io.github.recurrentkif.continual.VrMcl;
import io.github.recurrentkif.data.Batch;
import io.github.recurrentkif.kernels.ImportanceRule;
import io.github.recurrentkif.kernels.ImportanceRule.Formula;
import io.github.recurrentkif.kernels.MergeRule;
import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.model.AdapterConfig;
import io.github.recurrentkif.model.LoraConfig;
import io.github.recurrentkif.model.MixtureConfig;
import io.github.recurrentkif.model.PromptPoolConfig;
import io.github.recurrentkif.model.TaskAttentionConfig;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.function.Function;

/** The methods that a run can be told to use, by the names a user types. */
public enum MethodName {
  RECURRENT_KIF(
      "merges new and old knowledge every few updates, by what is important to each",
      Form.AS_SET,
      in -> new RecurrentKif<>(recurrentKif(in.settings()), in.layout(), in.kernels())),
  SEQUENTIAL_LORA(
      "one adapter for all tasks, nothing against forgetting: the lower bound",
      Form.AS_SET,
      _ -> new SequentialLora<>()),
  LORA_REPLAY(
      "one adapter, each task's samples mixed with the memory",
      Form.AS_SET,
      _ -> new LoraReplay<>()),
  INCREMENTAL_LORA(
      "a new adapter for each task on top of the frozen ones before it",
      Form.FOR_EACH_TASK,
      in -> new IncrementalLora<>(in.tasks(), in.layout(), in.kernels())),
  EWC(
      "a penalty on moving what the Fisher information says earlier tasks need",
      Form.AS_SET,
      in -> new Ewc<>(ewc(in.settings()), in.layout(), in.kernels())),
  O_LORA(
      "incremental-lora, each adapter kept orthogonal to those before it",
      Form.FOR_EACH_TASK,
      in -> new OLora<>(oLora(in.settings()), in.tasks(), in.layout(), in.kernels())),
  TASL(
      "one merge at the end of each task, by the importance of skill units",
      Form.AS_SET,
      in -> new Tasl<>(tasl(in.settings()), in.layout(), in.kernels())),
  MIGU(
      "moves only the rows with the largest outputs for an update's tokens",
      Form.OBSERVED,
      in -> new Migu<>(in.settings().get(Settings.MAGNITUDE_QUANTILE), in.layout(), in.kernels())),
  VR_MCL(
      "meta-learning: steps on a task that also help the memory, with less variance",
      Form.AS_SET,
      in -> new VrMcl<>(vrMcl(in.settings()), in.layout(), in.kernels())),
  MOE_LORA(
      "a mixture of low-rank experts in every layer, weighed token by token by a router",
      Form.OF_EXPERTS,
      _ -> new SequentialLora<>()),
  L2P(
      "a pool of soft prompts before the text, chosen by their keys; no LoRA",
      Form.OF_PROMPTS,
      _ -> new SequentialLora<>()),
  LFPT5(
      "one soft prompt before every text, memory mixed in, its old answers held",
      Form.OF_ONE_PROMPT,
      in ->
          new Lfpt5<>(
              in.text().retention(),
              in.settings().get(Settings.RETENTION),
              in.layout(),
              in.kernels())),
  SAPT_LORA(
      "an adapter for each task, weighed for every text by one attention over the tasks",
      Form.OF_ATTENDED_TASKS,
      in ->
          new SaptLora<>(
              in.tasks(),
              in.layout(),
              in.kernels(),
              in.text().retention(),
              in.settings().get(Settings.RETENTION),
              in.key())),
  PER_TASK(
      "an adapter for each task, chosen by who asks: nothing shared or forgotten",
      Form.AS_SET,
      in -> new PerTask<>(in.tasks(), in.fresh(), in.layout(), in.kernels())),
  JOINT(
      "one adapter trained on all tasks together: the upper bound",
      Form.AS_SET,
      _ -> new Joint<>());

  /** What the adapter is like. */
  private enum Form {
    AS_SET,
    /** As set, and the graphs say how large its outputs are. */
    OBSERVED,
    /** As set, for every task of the stream: their adapters lie side by side in one. */
    FOR_EACH_TASK,
    /** Several of those that are set in every layer, of which a router weighs the outputs. */
    OF_EXPERTS,
    /** As set, for every task of the stream, and an attention over the tasks that weighs them. */
    OF_ATTENDED_TASKS,
    /** No LoRA: soft prompts, chosen for each text. */
    OF_PROMPTS,
    /** No LoRA: a soft prompt before every text. */
    OF_ONE_PROMPT
  }

  private final String description;
  private final Form form;

  @SuppressWarnings("ImmutableEnumChecker") // Lambdas that hold nothing.
  private final Function<MethodInputs, ContinualMethod<Batch>> maker;

  MethodName(String description, Form form, Function<MethodInputs, ContinualMethod<Batch>> maker) {
    this.description = description;
    this.form = form;
    this.maker = maker;
  }

  /** What it does, in one line. */
  public String description() {
    return description;
  }

  /** As typed: {@code recurrent-kif}. */
  public String text() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  /** All of them, as typed. */
  public static List<String> texts() {
    return Arrays.stream(values()).map(MethodName::text).toList();
  }

  /**
   * @throws InputException if there is no such method; lists those there are
   */
  public static MethodName parse(String text) {
    return Arrays.stream(values())
        .filter(method -> method.text().equals(text))
        .findFirst()
        .orElseThrow(
            () ->
                new InputException(
                    "unknown method '" + text + "'; there are " + String.join(", ", texts())));
  }

  /**
   * Settings that fit one by one and not together.
   *
   * @throws InputException if this method cannot work with them
   */
  void require(Settings settings) {
    int historyEstimates = settings.get(Settings.HISTORY_ESTIMATES);
    if (this == RECURRENT_KIF
        && historyEstimates > 0
        && settings.get(Settings.OUTER_LOOP) == OuterLoop.IMPORTANCE_ONLY) {
      throw new InputException(
          "history-estimates="
              + historyEstimates
              + " and outer-loop=importance-only leave updates on memory nothing to do; leave out"
              + " one of them");
    }
    List<String> factors =
        settings.chosenNames().stream()
            .filter(name -> name.startsWith("merge-") && !name.startsWith("merge-soft"))
            .toList();
    if (settings.get(Settings.MERGE_SOFT_TEMPERATURE) > 0 && !factors.isEmpty()) {
      throw new InputException(
          "merge-soft-temperature weighs every parameter by its scores, and "
              + factors.getFirst()
              + " is for masks; leave out one of them");
    }
    boolean forEachTask = form == Form.FOR_EACH_TASK || form == Form.OF_ATTENDED_TASKS;
    if (forEachTask && settings.get(Settings.WEIGHT_DECAY) > 0) {
      throw new InputException(
          text()
              + " keeps the adapters of earlier tasks as they are, and weight-decay="
              + Setting.print(settings.get(Settings.WEIGHT_DECAY))
              + " would shrink them; leave it out");
    }
  }

  /** Makes the method. */
  ContinualMethod<Batch> create(MethodInputs inputs) {
    return maker.apply(inputs);
  }

  /** The adapter that this method learns a stream of so many tasks with. */
  AdapterConfig adapter(Settings settings, int tasks) {
    LoraConfig one = settings.lora();
    return switch (form) {
      case AS_SET -> one;
      case OBSERVED -> one.withObservation();
      case FOR_EACH_TASK -> one.sideBySide(tasks);
      case OF_EXPERTS -> MixtureConfig.of(one, settings.get(Settings.EXPERTS));
      case OF_ATTENDED_TASKS ->
          new TaskAttentionConfig(
              one.sideBySide(tasks),
              tasks,
              settings.get(Settings.ATTENTION_HIDDEN),
              settings.get(Settings.ATTENTION_TEMPERATURE));
      case OF_PROMPTS ->
          new PromptPoolConfig(
              settings.get(Settings.PROMPTS),
              settings.get(Settings.PROMPT_LENGTH),
              settings.get(Settings.PROMPTS_CHOSEN),
              settings.get(Settings.KEY_PULL));
      case OF_ONE_PROMPT -> PromptPoolConfig.ofOne(settings.get(Settings.PROMPT_LENGTH));
    };
  }

  private static Ewc.Settings ewc(Settings settings) {
    return new Ewc.Settings(
        settings.get(Settings.EWC_LAMBDA),
        settings.get(Settings.FISHER_DECAY),
        settings.get(Settings.FISHER_SAMPLES));
  }

  private static OLora.Settings oLora(Settings settings) {
    return new OLora.Settings(
        settings.get(Settings.ORTHOGONALITY), settings.get(Settings.ADAPTER_NORM));
  }

  private static Tasl.Settings tasl(Settings settings) {
    return new Tasl.Settings(
        importanceRule(settings, settings.get(Settings.IMPORTANCE_FORMULA)),
        settings.get(Settings.QUANTILE),
        settings.get(Settings.SKILL_MEMORY),
        settings.get(Settings.SKILL_TEMPERATURE));
  }

  private static VrMcl.Settings vrMcl(Settings settings) {
    return new VrMcl.Settings(
        settings.get(Settings.META_RATE),
        settings.get(Settings.META_RATE_STEP),
        settings.get(Settings.META_MOMENTUM));
  }

  private static ImportanceRule importanceRule(Settings settings, Formula formula) {
    return new ImportanceRule(
        formula,
        settings.get(Settings.SENSITIVITY_DECAY),
        settings.get(Settings.UNCERTAINTY_DECAY));
  }

  private static RecurrentKifSettings recurrentKif(Settings settings) {
    RecurrentKifSettings preset =
        switch (settings.get(Settings.MODE)) {
          case REFERENCE -> RecurrentKifSettings.reference();
          case PAPER -> RecurrentKifSettings.paper();
        };
    ImportanceRule rule = importanceRule(settings, settings.get(Settings.IMPORTANCE_FORMULA));
    return new RecurrentKifSettings(
        settings.get(Settings.CYCLE_LENGTH),
        settings.get(Settings.OUTER_STEPS),
        settings.get(Settings.QUANTILE),
        rule,
        rule,
        new MergeRule(
            preset.merge().score(),
            weighting(settings),
            preset.merge().resetInner(),
            preset.merge().resetOuter()),
        settings.get(Settings.HISTORY_ESTIMATES),
        settings.get(Settings.OUTER_LOOP),
        settings.get(Settings.THRESHOLD_SCOPE) == Settings.ThresholdScope.TENSOR);
  }

  private static MergeRule.Weighting weighting(Settings settings) {
    double temperature = settings.get(Settings.MERGE_SOFT_TEMPERATURE);
    return temperature > 0
        ? new MergeRule.Soft(temperature)
        : new MergeRule.Masks(
            settings.get(Settings.MERGE_SHARED),
            settings.get(Settings.MERGE_NEW),
            settings.get(Settings.MERGE_OLD),
            settings.get(Settings.MERGE_REDUNDANT));
  }
}
