package io.github.recurrentkif.data;

import static org.junit.jupiter.api.Assertions.assertTrue;

/** What an error must tell its reader. */
final class ErrorMessages {

  private ErrorMessages() {}

  static void assertSays(Throwable error, String... parts) {
    String message = String.valueOf(error.getMessage());
    for (String part : parts) {
      assertTrue(message.contains(part), () -> "no \"" + part + "\" in: " + message);
    }
  }
}
