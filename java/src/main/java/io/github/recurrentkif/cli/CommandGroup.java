package io.github.recurrentkif.cli;

import java.util.List;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Help;
import picocli.CommandLine.Help.Ansi.Text;

/**
 * Subcommands that the help shows under one title.
 *
 * @param commands objects whose classes carry picocli's {@code @Command} with a name
 */
record CommandGroup(String title, List<Object> commands) {

  private static final String INDENT = "  ";

  CommandGroup {
    commands = List.copyOf(commands);
  }

  /**
   * The group of the one command that an argument names, with nothing else in it; all groups where
   * it names none. To read the options of all commands takes longer than most of them need to
   * begin.
   */
  static List<CommandGroup> naming(String argument, List<CommandGroup> groups) {
    for (CommandGroup group : groups) {
      for (Object command : group.commands) {
        if (command.getClass().getAnnotation(Command.class).name().equals(argument)) {
          return List.of(new CommandGroup(group.title, List.of(command)));
        }
      }
    }
    return groups;
  }

  /** Adds the subcommands of all groups, and a list of them by group to the help. */
  static void addTo(CommandLine root, List<CommandGroup> groups) {
    for (CommandGroup group : groups) {
      group.commands.forEach(root::addSubcommand);
    }
    root.getCommandSpec().usageMessage().commandListHeading("");
    root.getHelpSectionMap()
        .put(
            CommandLine.Model.UsageMessageSpec.SECTION_KEY_COMMAND_LIST,
            help -> render(help, groups));
  }

  private static String render(Help help, List<CommandGroup> groups) {
    int nameWidth =
        help.subcommands().keySet().stream().mapToInt(String::length).max().orElse(0)
            + INDENT.length();
    int width = help.commandSpec().usageMessage().width();
    StringBuilder list = new StringBuilder();
    for (CommandGroup group : groups) {
      list.append(System.lineSeparator())
          .append(help.createHeading("@|bold " + group.title + ":|@%n"));
      Help.TextTable table =
          Help.TextTable.forColumns(
              help.colorScheme(),
              new Help.Column(nameWidth, INDENT.length(), Help.Column.Overflow.SPAN),
              new Help.Column(width - nameWidth, INDENT.length(), Help.Column.Overflow.WRAP));
      for (Help subcommand : help.subcommands().values()) {
        if (group.commands.contains(subcommand.commandSpec().userObject())) {
          Text name = help.colorScheme().commandText(subcommand.commandSpec().name());
          String[] description = subcommand.commandSpec().usageMessage().description();
          table.addRowValues(
              name, help.colorScheme().text(description.length == 0 ? "" : description[0]));
        }
      }
      list.append(table);
    }
    return list.toString();
  }
}
