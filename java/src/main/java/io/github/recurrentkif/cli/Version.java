package io.github.recurrentkif.cli;

import io.github.recurrentkif.experiment.Build;
import picocli.CommandLine.IVersionProvider;

/** What {@code kif --version} prints. */
public final class Version implements IVersionProvider {

  @Override
  public String[] getVersion() {
    Build build = Build.current();
    return new String[] {
      "kif " + build.version() + ", commit " + build.commit(),
      "Java "
          + Runtime.version()
          + ", "
          + System.getProperty("os.name")
          + " "
          + System.getProperty("os.arch")
    };
  }
}
