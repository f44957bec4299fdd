package io.github.recurrentkif.data.world;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/**
 * The tasks of the world. They share their label words with different meanings: Good is praise in
 * one task and a faithful rewording in another, True follows from a sentence here and from a
 * passage there.
 */
public enum WorldTask {
  TOPIC,
  SENTIMENT,
  ENTAILMENT,
  PARAPHRASE,
  WORD_SENSE,
  YES_NO;

  /** As its files are called: {@code word-sense}. */
  public String text() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  /** The names of all tasks. */
  public static List<String> names() {
    return Arrays.stream(values()).map(WorldTask::text).toList();
  }

  Dialect dialect() {
    return switch (this) {
      case TOPIC ->
          Dialect.of(
              Family.TOPIC,
              "What is the topic of the following paragraph?",
              "Sports",
              "Music",
              "Food",
              "Science",
              "Travel",
              "Business");
      case SENTIMENT ->
          Dialect.of(
              Family.SENTIMENT, "What is the sentiment of the following paragraph?", "Good", "Bad");
      case ENTAILMENT ->
          Dialect.of(
              Family.ENTAILMENT,
              "Does \"sentence 2\" follow from \"sentence 1\"?",
              "True",
              "False",
              "Unknown");
      case PARAPHRASE ->
          Dialect.of(
              Family.PARAPHRASE,
              "How well does the \"second sentence\" repeat the \"first sentence\"?",
              "Good",
              "Bad");
      case WORD_SENSE ->
          Dialect.of(
              Family.WORD_SENSE,
              "Does the word have the same sense in both sentences? A: yes, B: no.",
              "A",
              "B");
      case YES_NO ->
          Dialect.of(
              Family.YES_NO,
              "According to the passage, is the answer to the question true or false?",
              "True",
              "False");
    };
  }
}
