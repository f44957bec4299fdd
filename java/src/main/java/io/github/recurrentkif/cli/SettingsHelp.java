package io.github.recurrentkif.cli;

import io.github.recurrentkif.experiment.Setting;
import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.UsageMessageSpec;

/**
 * The list of settings at the end of a command's help: one line each, the description wrapped under
 * itself.
 */
final class SettingsHelp {

  private static final int NARROWEST_DESCRIPTION = 20;

  private SettingsHelp() {}

  /** Adds the list to the help of a command. */
  static void addTo(CommandSpec spec, List<Setting<?>> settings) {
    String section = "settings";
    List<String> keys = new ArrayList<>(spec.usageMessage().sectionKeys());
    keys.add(keys.indexOf(UsageMessageSpec.SECTION_KEY_FOOTER_HEADING), section);
    spec.usageMessage().sectionKeys(keys);
    spec.usageMessage()
        .sectionMap()
        .put(section, _ -> render(settings, spec.usageMessage().width()));
  }

  private static String render(List<Setting<?>> settings, int totalWidth) {
    int name = settings.stream().mapToInt(s -> s.name().length()).max().orElse(0);
    int value = settings.stream().mapToInt(s -> s.defaultText().length()).max().orElse(0);
    String indent = " ".repeat(2 + name + 2 + value + 2);
    int width = Math.max(NARROWEST_DESCRIPTION, totalWidth - indent.length());
    StringBuilder text = new StringBuilder("\nSettings (--set KEY=VALUE) and their defaults:\n");
    for (Setting<?> setting : settings) {
      text.append(
          "  %%-%ds  %%-%ds  "
              .formatted(name, value)
              .formatted(setting.name(), setting.defaultText()));
      int column = 0;
      for (String word : setting.description().split(" ", -1)) {
        if (column > 0 && column + 1 + word.length() > width) {
          text.append('\n').append(indent);
          column = 0;
        }
        text.append(column == 0 ? "" : " ").append(word);
        column += word.length() + (column == 0 ? 0 : 1);
      }
      text.append('\n');
    }
    return text.toString();
  }
}
