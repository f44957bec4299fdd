package io.github.recurrentkif.data.world;

import io.github.recurrentkif.data.Sample;
import io.github.recurrentkif.kernels.RandomKey;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * What a model of this world is trained on before it meets the tasks: running text, and prompts
 * that put the same kinds of questions in other words, with other labels, and simpler ones. Neither
 * an instruction nor a text of a {@link WorldTask} stands here.
 */
public final class Practice {

  private static final Map<Family, List<Dialect>> DIALECTS =
      Stream.of(
              Dialect.of(
                  Family.TOPIC,
                  "Which field is this text about?",
                  "sport",
                  "music",
                  "food",
                  "science",
                  "travel",
                  "money"),
              Dialect.of(
                  Family.TOPIC,
                  "Into which column does this go?",
                  "Travel",
                  "Business",
                  "Sports",
                  "Food",
                  "Music",
                  "Science"),
              Dialect.of(Family.SENTIMENT, "Is this review positive?", "positive", "negative"),
              Dialect.of(Family.SENTIMENT, "Does the writer complain?", "no", "yes"),
              Dialect.of(Family.SENTIMENT, "Is the writer content?", "True", "False"),
              Dialect.of(
                  Family.ENTAILMENT,
                  "What is the relation of the sentences?",
                  "entailment",
                  "contradiction",
                  "neutral"),
              Dialect.of(Family.ENTAILMENT, "Can both be right?", "yes", "no", "maybe"),
              Dialect.of(
                  Family.ENTAILMENT, "Is the last sentence wrong?", "False", "True", "Unknown"),
              Dialect.of(Family.PARAPHRASE, "Do both say the same?", "same", "different"),
              Dialect.of(Family.PARAPHRASE, "Is the meaning kept?", "yes", "no"),
              Dialect.of(Family.PARAPHRASE, "Which letter fits the copy?", "B", "A"),
              Dialect.of(Family.WORD_SENSE, "Is the word used alike?", "alike", "unlike"),
              Dialect.of(Family.WORD_SENSE, "Does the meaning change?", "no", "yes"),
              Dialect.of(Family.WORD_SENSE, "Is the second use a good match?", "Good", "Bad"),
              Dialect.of(Family.YES_NO, "Answer from the passage.", "yes", "no"),
              Dialect.of(Family.YES_NO, "Does the passage deny it?", "no", "yes"),
              Dialect.of(Family.YES_NO, "Which letter answers the question?", "A", "B"),
              Dialect.of(Family.SIZE, "What is the size?", "big", "small"),
              Dialect.of(Family.NATURE, "Is it about nature or people?", "nature", "people"),
              Dialect.of(Family.DIRECTION, "Where is it now?", "north", "south"))
          .collect(
              Collectors.groupingBy(
                  Dialect::family, () -> new EnumMap<>(Family.class), Collectors.toList()));

  private Practice() {}

  /** Running text of one to three sentences. */
  public static String passage(RandomKey key) {
    Draw draw = new Draw(key);
    Family family = draw.of(List.of(Family.values()));
    return ask(family, draw.below(family.classes()), draw).text();
  }

  /** What kinds of prompts there are; the identifier of a prompt names its kind. */
  public static List<String> kinds() {
    return Arrays.stream(Family.values()).map(Family::text).toList();
  }

  /** A prompt with its answer. */
  public static Sample prompt(RandomKey key) {
    Draw draw = new Draw(key);
    Family family = draw.of(List.of(Family.values()));
    List<Dialect> dialects = Objects.requireNonNull(DIALECTS.get(family));
    // What mostly has one name is understood sooner.
    Dialect dialect = draw.percent(40) ? dialects.getFirst() : draw.of(dialects);
    int label = draw.below(dialect.labels().size());
    return dialect.sample(family.text(), ask(family, label, draw), draw.percent(75));
  }

  /** A question with a text that no task has. */
  private static Question ask(Family family, int label, Draw draw) {
    Question question = family.ask(label, draw);
    while (question.keptForTasks()) {
      question = family.ask(label, draw);
    }
    return question;
  }
}
