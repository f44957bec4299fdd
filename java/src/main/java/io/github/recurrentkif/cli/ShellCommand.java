package io.github.recurrentkif.cli;

import java.util.Map;
import java.util.regex.Pattern;

/** Commands to be copied into a shell, as the user would type them here. */
final class ShellCommand {

  /** In which the launcher says how it was called. */
  private static final String NAME = "KIF_COMMAND";

  private static final Pattern SAFE = Pattern.compile("[A-Za-z0-9_./:=,@%+-]+");

  private ShellCommand() {}

  /** {@code ./kif resume 'my run'}. */
  static String kif(Object... words) {
    return kif(System.getenv(), words);
  }

  static String kif(Map<String, String> environment, Object... words) {
    StringBuilder command = new StringBuilder(quoted(environment.getOrDefault(NAME, "kif")));
    for (Object word : words) {
      command.append(' ').append(quoted(word.toString()));
    }
    return command.toString();
  }

  private static String quoted(String word) {
    return SAFE.matcher(word).matches() ? word : "'" + word.replace("'", "'\\''") + "'";
  }
}
