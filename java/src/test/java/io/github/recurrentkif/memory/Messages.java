package io.github.recurrentkif.memory;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Objects;

/** What an error says. */
final class Messages {

  private Messages() {}

  static void assertContains(String part, Throwable error) {
    String message = Objects.requireNonNull(error.getMessage(), () -> error + " says nothing");
    assertTrue(message.contains(part), () -> "'" + message + "' does not contain '" + part + "'");
  }

  static void assertStartsWith(String part, Throwable error) {
    String message = Objects.requireNonNull(error.getMessage(), () -> error + " says nothing");
    assertTrue(message.startsWith(part), () -> "'" + message + "' does not start with " + part);
  }
}
