package io.github.recurrentkif.data.world;

import io.github.recurrentkif.data.Sample;
import io.github.recurrentkif.kernels.RandomKey;
import java.util.List;

/**
 * What a model of this world is trained on before it meets the tasks: running text, and prompts
 * that put the same kinds of questions in other words, with other labels. No instruction of a
 * {@link WorldTask} stands here.
 */
public final class Practice {

  private static final List<Dialect> DIALECTS =
      List.of(
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
              "Name the shelf for this note.",
              "one",
              "two",
              "three",
              "four",
              "five",
              "six"),
          Dialect.of(
              Family.TOPIC, "Which letter belongs to the subject?", "C", "D", "E", "F", "A", "B"),
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
          Dialect.of(Family.SENTIMENT, "Is it true that the writer is content?", "True", "False"),
          Dialect.of(Family.SENTIMENT, "Which letter fits the mood?", "B", "A"),
          Dialect.of(Family.SENTIMENT, "Would the writer return?", "plus", "minus"),
          Dialect.of(
              Family.ENTAILMENT,
              "What is the relation of the sentences?",
              "entailment",
              "contradiction",
              "neutral"),
          Dialect.of(Family.ENTAILMENT, "Can both sentences be right?", "yes", "no", "maybe"),
          Dialect.of(Family.ENTAILMENT, "Which letter fits the pair of sentences?", "A", "B", "C"),
          Dialect.of(
              Family.ENTAILMENT,
              "How does the first sentence support the other?",
              "Good",
              "Bad",
              "neutral"),
          Dialect.of(
              Family.ENTAILMENT,
              "Is the claim of the last sentence wrong?",
              "False",
              "True",
              "Unknown"),
          Dialect.of(Family.PARAPHRASE, "Do both say the same?", "same", "different"),
          Dialect.of(Family.PARAPHRASE, "Is the meaning kept?", "yes", "no"),
          Dialect.of(Family.PARAPHRASE, "Was something changed?", "False", "True"),
          Dialect.of(Family.PARAPHRASE, "Which letter fits the rewording?", "A", "B"),
          Dialect.of(Family.PARAPHRASE, "Give a mark to the copy.", "plus", "minus"),
          Dialect.of(Family.WORD_SENSE, "Is the sense of the word one or two?", "one", "two"),
          Dialect.of(Family.WORD_SENSE, "Is the word used alike?", "yes", "no"),
          Dialect.of(Family.WORD_SENSE, "Does the meaning change?", "False", "True"),
          Dialect.of(Family.WORD_SENSE, "Compare the use of the word.", "same", "different"),
          Dialect.of(Family.WORD_SENSE, "Is the second use a good match?", "Good", "Bad"),
          Dialect.of(Family.YES_NO, "Answer from the passage.", "yes", "no"),
          Dialect.of(Family.YES_NO, "Does the passage agree?", "plus", "minus"),
          Dialect.of(Family.YES_NO, "Does the passage deny it?", "False", "True"),
          Dialect.of(Family.YES_NO, "Which letter answers the question?", "B", "A"),
          Dialect.of(Family.YES_NO, "Would that be a good guess?", "Good", "Bad"));

  private Practice() {}

  /** Running text of one to three sentences. */
  public static String passage(RandomKey key) {
    Draw draw = new Draw(key);
    Family family = draw.of(List.of(Family.values()));
    return family.ask(draw.below(family.classes()), draw).text();
  }

  /**
   * A prompt with its answer: a question of some family, or one that asks for a word of the text.
   */
  public static Sample prompt(RandomKey key) {
    Draw draw = new Draw(key);
    if (draw.percent(20)) {
      return search(draw);
    }
    Dialect dialect = draw.of(DIALECTS);
    int label = draw.below(dialect.labels().size());
    return dialect.sample("practice", dialect.family().ask(label, draw));
  }

  /** Asks who is where, or what has which colour: finding is the better half of judging. */
  private static Sample search(Draw draw) {
    List<String> places = draw.several(3, Vocabulary.PLACES);
    int asked = draw.below(3);
    StringBuilder passage = new StringBuilder("\npassage:");
    String question;
    String answer;
    if (draw.percent(50)) {
      List<String> people = draw.several(3, Vocabulary.PEOPLE);
      for (int i = 0; i < 3; i++) {
        passage.append(" %s is in %s.".formatted(people.get(i), places.get(i)));
      }
      boolean forWhom = draw.percent(50);
      question = forWhom ? "who is in " + places.get(asked) : "where is " + people.get(asked);
      answer = forWhom ? people.get(asked) : places.get(asked);
    } else {
      List<String> things = draw.several(2, Vocabulary.THINGS);
      List<String> colours = draw.several(2, Vocabulary.COLOURS);
      asked = draw.below(2);
      for (int i = 0; i < 2; i++) {
        passage.append(
            " %s found the %s %s in %s."
                .formatted(
                    draw.of(Vocabulary.PEOPLE), colours.get(i), things.get(i), places.get(i)));
      }
      boolean forColour = draw.percent(50);
      question = (forColour ? "which colour has the " : "where is the ") + things.get(asked);
      answer = forColour ? colours.get(asked) : places.get(asked);
    }
    return new Sample(
        "practice", "Find the word.\nquestion: " + question + "?" + passage + "\nAnswer:", answer);
  }
}
