package io.github.recurrentkif.cli;

import io.github.recurrentkif.experiment.Build;
import picocli.CommandLine.IVersionProvider;

/** What {@code kif --version} prints. */
public final class Version implements IVersionProvider {

  @Override
  public String[] getVersion() {
    return new String[] {
      "kif " + Build.current().text(),
      "Java "
          + Runtime.version()
          + ", "
          + System.getProperty("os.name")
          + " "
          + System.getProperty("os.arch")
    };
  }
}
