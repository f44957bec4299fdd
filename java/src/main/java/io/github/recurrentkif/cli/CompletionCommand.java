package io.github.recurrentkif.cli;

import picocli.AutoComplete;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** {@code kif completion}: a script with which bash and zsh complete our commands. */
@Command(
    name = CompletionCommand.NAME,
    description = "Print a completion script for bash and zsh: source <(kif completion)")
final class CompletionCommand implements Runnable {

  static final String NAME = "completion";

  private final Terminal terminal;

  @Spec private CommandSpec spec;

  CompletionCommand(Terminal terminal) {
    this.terminal = terminal;
  }

  @Override
  public void run() {
    CommandSpec root = spec.root();
    terminal.out().print(AutoComplete.bash(root.name(), root.commandLine()));
  }
}
