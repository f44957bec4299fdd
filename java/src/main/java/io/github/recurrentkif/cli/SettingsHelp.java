package io.github.recurrentkif.cli;

import io.github.recurrentkif.experiment.MethodName;
import io.github.recurrentkif.experiment.Setting;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;
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
    addSection(spec, "settings", () -> render(settings, spec.usageMessage().width()));
  }

  /** Adds a line for each method to the help of a command. */
  static void addMethodsTo(CommandSpec spec, List<MethodName> methods) {
    addSection(spec, "methods", () -> renderMethods(methods));
  }

  private static String renderMethods(List<MethodName> methods) {
    int name = methods.stream().mapToInt(m -> m.text().length()).max().orElse(0);
    StringBuilder text = new StringBuilder("\nMethods (--method METHOD; docs/methods.md):\n");
    for (MethodName method : methods) {
      text.append(("  %-" + name + "s  %s\n").formatted(method.text(), method.description()));
    }
    return text.toString();
  }

  private static void addSection(CommandSpec spec, String section, Supplier<String> text) {
    List<String> keys = new ArrayList<>(spec.usageMessage().sectionKeys());
    keys.add(keys.indexOf(UsageMessageSpec.SECTION_KEY_FOOTER_HEADING), section);
    spec.usageMessage().sectionKeys(keys);
    spec.usageMessage().sectionMap().put(section, _ -> text.get());
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
