package io.github.recurrentkif.experiment;

import io.github.recurrentkif.kernels.MergeRule.Coefficients;
import io.github.recurrentkif.memory.InputException;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.SequencedSet;
import java.util.function.Function;
import java.util.regex.Pattern;

/**
 * One setting of a run: its name, what it may be, and what it is when nothing is said.
 *
 * @param name as typed: {@code learning-rate}
 * @param expected in words, for messages: "a whole number of at least 1"
 * @param description one line, with the unit
 * @param parse from the text a user typed; throws {@link IllegalArgumentException} if it is not as
 *     expected
 */
public record Setting<T>(
    String name, T defaultValue, String expected, String description, Function<String, T> parse) {

  /** More of anything that is counted is a slip of the keyboard, and products of two still fit. */
  private static final int LARGEST_COUNT = 1_000_000;

  private static final Pattern DECIMAL = Pattern.compile("[-+]?[0-9.]+([eE][-+]?[0-9]+)?");

  /**
   * @throws InputException if the text is not what this setting expects
   */
  T parse(String text) {
    try {
      return parse.apply(text.strip());
    } catch (IllegalArgumentException e) {
      throw new InputException(
          "setting '" + name + "' should be " + expected + ", got '" + text + "'", e);
    }
  }

  /** The default as it would be typed. */
  public String defaultText() {
    return print(defaultValue);
  }

  /** The value as it would be typed. */
  static String print(Object value) {
    return switch (value) {
      case SequencedSet<?> set -> String.join(",", set.stream().map(String::valueOf).toList());
      case Double _, Float _ ->
          new BigDecimal(String.valueOf(value)).stripTrailingZeros().toPlainString();
      case Coefficients pair -> print(pair.inner()) + "," + print(pair.outer());
      case Enum<?> choice -> choice.name().toLowerCase(Locale.ROOT).replace('_', '-');
      default -> String.valueOf(value);
    };
  }

  /** A whole number in [minimum, {@value #LARGEST_COUNT}]. */
  static Setting<Integer> whole(String name, int defaultValue, int minimum, String description) {
    return whole(name, defaultValue, minimum, LARGEST_COUNT, description);
  }

  /** A whole number in [minimum, maximum]. */
  static Setting<Integer> whole(
      String name, int defaultValue, int minimum, int maximum, String description) {
    return new Setting<>(
        name,
        defaultValue,
        "a whole number from " + minimum + " to " + maximum,
        description,
        text ->
            require(
                Integer.valueOf(text),
                Integer.valueOf(text) >= minimum && Integer.valueOf(text) <= maximum));
  }

  static Setting<Long> seed(String name, long defaultValue, String description) {
    return new Setting<>(name, defaultValue, "a whole number", description, Long::valueOf);
  }

  static Setting<Double> positive(String name, double defaultValue, String description) {
    return new Setting<>(
        name,
        defaultValue,
        "a positive number",
        description,
        text -> require(number(text), number(text) > 0 && Double.isFinite(number(text))));
  }

  /** A number in [0, limit). */
  static Setting<Double> below(String name, double defaultValue, double limit, String description) {
    return new Setting<>(
        name,
        defaultValue,
        "a number from 0 to below " + print(limit),
        description,
        text -> require(number(text), number(text) >= 0 && number(text) < limit));
  }

  /** A number in [0, limit]. */
  static Setting<Double> upTo(String name, double defaultValue, double limit, String description) {
    return new Setting<>(
        name,
        defaultValue,
        "a number from 0 to " + print(limit),
        description,
        text -> require(number(text), number(text) >= 0 && number(text) <= limit));
  }

  /** 0, for none, or a number in [minimum, limit]. */
  static Setting<Double> zeroOrFrom(
      String name, double defaultValue, double minimum, double limit, String description) {
    return new Setting<>(
        name,
        defaultValue,
        "0 or a number from " + print(minimum) + " to " + print(limit),
        description,
        text -> {
          double value = number(text);
          return require(value, value == 0 || (value >= minimum && value <= limit));
        });
  }

  static <E extends Enum<E>> Setting<E> choice(
      String name, E defaultValue, Class<E> type, String description) {
    List<String> names = new ArrayList<>();
    for (E constant : type.getEnumConstants()) {
      names.add(print(constant));
    }
    return new Setting<>(
        name,
        defaultValue,
        "one of " + String.join(", ", names),
        description,
        text -> Enum.valueOf(type, text.toUpperCase(Locale.ROOT).replace('-', '_')));
  }

  static Setting<SequencedSet<String>> words(
      String name, List<String> defaultValue, String description) {
    return new Setting<>(
        name,
        new LinkedHashSet<>(defaultValue),
        "words separated by commas",
        description,
        text -> {
          SequencedSet<String> words = new LinkedHashSet<>();
          Arrays.stream(text.split(",", -1)).map(String::strip).forEach(words::add);
          return require(words, words.stream().noneMatch(String::isEmpty));
        });
  }

  /** Free text, empty if nothing is said. */
  static Setting<String> line(String name, int longest, String description) {
    return new Setting<>(
        name,
        "",
        "a line of at most " + longest + " characters",
        description,
        text ->
            require(
                text, text.length() <= longest && text.chars().noneMatch(Character::isISOControl)));
  }

  /** Factors of the inner and of the outer task vector. */
  static Setting<Coefficients> pair(String name, Coefficients defaultValue, String description) {
    return new Setting<>(
        name,
        defaultValue,
        "two numbers from -10 to 10, separated by a comma",
        description,
        text -> {
          List<Float> factors =
              Arrays.stream(text.split(",", -1)).map(part -> (float) number(part.strip())).toList();
          return require(
              new Coefficients(factors.getFirst(), factors.getLast()),
              factors.size() == 2 && factors.stream().allMatch(factor -> Math.abs(factor) <= 10));
        });
  }

  /** Java would take 30d for a number, and somebody may mean 30 days by it. */
  private static double number(String text) {
    if (!DECIMAL.matcher(text).matches()) {
      throw new NumberFormatException(text);
    }
    return Double.parseDouble(text);
  }

  private static <V> V require(V value, boolean fits) {
    if (!fits) {
      throw new IllegalArgumentException("out of range");
    }
    return value;
  }
}
