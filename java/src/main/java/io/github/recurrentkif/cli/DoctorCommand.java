package io.github.recurrentkif.cli;

import io.github.recurrentkif.cli.Finding.Status;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;

/** {@code kif doctor}: what this machine has, and what is missing. */
@Command(
    name = "doctor",
    description = "Show what this machine offers and what is missing; exits with 1 if anything is.")
final class DoctorCommand implements Callable<Integer> {

  private final Terminal terminal;
  private final List<Examination> examinations;

  DoctorCommand(Terminal terminal, List<Examination> examinations) {
    this.terminal = terminal;
    this.examinations = List.copyOf(examinations);
  }

  @Override
  public Integer call() {
    boolean failed = false;
    for (Examination examination : examinations) {
      List<Finding> findings = findings(examination);
      failed |= findings.stream().anyMatch(finding -> finding.status() == Status.FAILURE);
      print(examination.title(), findings);
    }
    return failed ? ExitCode.CHECK_FAILED : ExitCode.OK;
  }

  /** An examination that breaks must not hide the others. */
  private static List<Finding> findings(Examination examination) {
    try {
      return examination.findings();
    } catch (RuntimeException | LinkageError e) {
      return List.of(Finding.failure("examination", e.toString(), "this is a bug in kif"));
    }
  }

  private void print(String title, List<Finding> findings) {
    terminal.out().println(terminal.ansi().string("@|bold " + title + "|@"));
    int width = findings.stream().mapToInt(finding -> finding.name().length()).max().orElse(0);
    for (Finding finding : findings) {
      String name = finding.name() + " ".repeat(width - finding.name().length());
      terminal.out().println("  " + mark(finding.status()) + "  " + name + "  " + finding.value());
      if (!finding.hint().isEmpty()) {
        terminal.out().println(" ".repeat(width + 13) + "-> " + finding.hint());
      }
    }
  }

  private String mark(Status status) {
    return terminal
        .ansi()
        .string(
            switch (status) {
              case OK -> "@|green ok     |@";
              case WARNING -> "@|yellow warning|@";
              case FAILURE -> "@|red FAILED |@";
            });
  }
}
