package io.github.recurrentkif.continual;

import java.util.List;
import java.util.Locale;

/**
 * When a generated answer counts as right: it equals the expected one after {@code <pad>}, {@code
 * </s>} and the white space around it are taken away and both are in lower case. No part of an
 * answer counts, and answers are not restricted to the known labels. This is the rule of the
 * reference release, white space being what Python's {@code str.strip} takes.
 */
public final class ExactMatch {

  private ExactMatch() {}

  /** The form in which answers are compared. */
  public static String normalized(String answer) {
    String text = answer.replace("<pad>", "").replace("</s>", "");
    int start = 0;
    int end = text.length();
    while (start < end && isWhiteSpace(text.charAt(start))) {
      start++;
    }
    while (start < end && isWhiteSpace(text.charAt(end - 1))) {
      end--;
    }
    return text.substring(start, end).toLowerCase(Locale.ROOT);
  }

  /** String.strip leaves no-break spaces and the C1 control "next line", Python does not. */
  private static boolean isWhiteSpace(char c) {
    return Character.isWhitespace(c) || Character.isSpaceChar(c) || c == 0x85;
  }

  public static boolean matches(String generated, String expected) {
    return normalized(generated).equals(normalized(expected));
  }

  /**
   * The fraction of answers that match, in [0, 1].
   *
   * @param generated one answer for each of {@code expected}, at least one
   */
  public static double accuracy(List<String> generated, List<String> expected) {
    if (generated.size() != expected.size() || generated.isEmpty()) {
      throw new IllegalArgumentException(
          "accuracy needs as many answers as expected ones and at least one, got %d and %d"
              .formatted(generated.size(), expected.size()));
    }
    int right = 0;
    for (int i = 0; i < generated.size(); i++) {
      if (matches(generated.get(i), expected.get(i))) {
        right++;
      }
    }
    return (double) right / generated.size();
  }
}
