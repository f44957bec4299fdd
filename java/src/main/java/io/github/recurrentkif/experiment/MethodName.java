package io.github.recurrentkif.experiment;

import io.github.recurrentkif.continual.ContinualMethod;
import io.github.recurrentkif.continual.LoraReplay;
import io.github.recurrentkif.continual.RecurrentKif;
import io.github.recurrentkif.continual.RecurrentKifSettings;
import io.github.recurrentkif.continual.RecurrentKifSettings.OuterLoop;
import io.github.recurrentkif.continual.SequentialLora;
import io.github.recurrentkif.kernels.ImportanceRule;
import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.kernels.MergeRule;
import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.memory.ParameterLayout;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/** The methods that a run can be told to use, by the names a user types. */
public enum MethodName {
  RECURRENT_KIF,
  SEQUENTIAL_LORA,
  LORA_REPLAY;

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
  }

  /** Makes the method for weights of this layout. */
  <B> ContinualMethod<B> create(Settings settings, ParameterLayout layout, Kernels kernels) {
    return switch (this) {
      case RECURRENT_KIF -> new RecurrentKif<>(recurrentKif(settings), layout, kernels);
      case SEQUENTIAL_LORA -> new SequentialLora<>();
      case LORA_REPLAY -> new LoraReplay<>();
    };
  }

  private static RecurrentKifSettings recurrentKif(Settings settings) {
    RecurrentKifSettings preset =
        switch (settings.get(Settings.MODE)) {
          case REFERENCE -> RecurrentKifSettings.reference();
          case PAPER -> RecurrentKifSettings.paper();
        };
    ImportanceRule rule =
        new ImportanceRule(
            preset.innerRule().formula(),
            settings.get(Settings.SENSITIVITY_DECAY),
            settings.get(Settings.UNCERTAINTY_DECAY));
    return new RecurrentKifSettings(
        settings.get(Settings.CYCLE_LENGTH),
        settings.get(Settings.OUTER_STEPS),
        settings.get(Settings.QUANTILE),
        rule,
        rule,
        new MergeRule(
            preset.merge().score(),
            new MergeRule.Masks(
                settings.get(Settings.MERGE_SHARED),
                settings.get(Settings.MERGE_NEW),
                settings.get(Settings.MERGE_OLD),
                settings.get(Settings.MERGE_REDUNDANT)),
            preset.merge().resetInner(),
            preset.merge().resetOuter()),
        settings.get(Settings.HISTORY_ESTIMATES),
        settings.get(Settings.OUTER_LOOP));
  }
}
