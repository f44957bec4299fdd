package io.github.recurrentkif.cli;

import java.io.IOException;
import java.lang.ProcessBuilder.Redirect;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Starts this program once more, with the options of Java that it was started with itself. */
final class OwnProcess {

  private OwnProcess() {}

  /**
   * @param log takes, behind what it holds, what the process writes to its error stream; beside it
   *     Java would leave its account of a crash
   */
  static Process start(List<String> arguments, Path log) throws IOException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    for (String option : ManagementFactory.getRuntimeMXBean().getInputArguments()) {
      // Two debuggers cannot listen at one door.
      if (!option.startsWith("-agent") && !option.startsWith("-javaagent")) {
        command.add(option);
      }
    }
    command.add("--enable-native-access=ALL-UNNAMED");
    command.add(
        "-XX:ErrorFile="
            + log.toAbsolutePath().toString().replaceFirst("\\.log$", "")
            + ".crash.txt");
    command.add(Main.class.getName());
    command.addAll(arguments);
    ProcessBuilder builder =
        new ProcessBuilder(command).redirectError(Redirect.appendTo(log.toFile()));
    // The class path may be long, so it does not go on the command line.
    builder.environment().put("CLASSPATH", System.getProperty("java.class.path"));
    builder.environment().put(Terminal.STREAMS, "");
    return builder.start();
  }
}
