package io.github.recurrentkif.experiment;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.Properties;

/**
 * Which program this is.
 *
 * @param version for example {@code 0.1.0}
 * @param commit the sources' commit, shortened, with {@code -dirty} behind it where files differed;
 *     {@code unknown} if they were built outside of git
 */
public record Build(String version, String commit) {

  /** For people: {@code 0.1.0, commit 0123456789ab}. */
  public String text() {
    return version + ", commit " + commit;
  }

  /** As Maven wrote it into the jar. */
  public static Build current() {
    Properties properties = new Properties();
    try (InputStream in = Build.class.getResourceAsStream("build.properties")) {
      if (in == null) {
        throw new IllegalStateException("build.properties is not on the class path");
      }
      properties.load(in);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return new Build(properties.getProperty("version"), properties.getProperty("commit"));
  }
}
