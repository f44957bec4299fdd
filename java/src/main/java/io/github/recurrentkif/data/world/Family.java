package io.github.recurrentkif.data.world;

import io.github.recurrentkif.data.world.Vocabulary.Homonym;
import io.github.recurrentkif.data.world.Vocabulary.Topic;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * A kind of question. In the families of the tasks no single word gives the class away: it follows
 * from how words go together. The others ask for one feature of a text, on which those build; they
 * are only practised.
 */
enum Family {
  /** Which field of life most things of the text belong to; one thing belongs to another field. */
  TOPIC(Vocabulary.TOPICS.size()) {
    @Override
    Question ask(int label, Draw draw) {
      Topic topic = Vocabulary.TOPICS.get(label);
      Topic other = draw.otherThan(topic, Vocabulary.TOPICS);
      List<String> things = new ArrayList<>(draw.several(3, topic.things()));
      things.add(draw.below(things.size() + 1), draw.of(other.things()));
      String list = "the %s, the %s, the %s and the %s".formatted(things.toArray());
      String text =
          switch (draw.below(3)) {
            case 0 -> person(draw) + " saw " + list + ".";
            case 1 -> "in " + place(draw) + " they talk about " + list + ".";
            default -> list + " are " + draw.of(Vocabulary.COLOURS) + ".";
          };
      return new Question("Text: " + text, label);
    }
  },

  /** Whether the text praises (0) or blames (1); negation turns it, and after "but" counts. */
  SENTIMENT(2) {
    @Override
    Question ask(int label, Draw draw) {
      boolean praise = label == 0;
      String decisive = opinion(draw, praise);
      String text =
          switch (draw.below(6)) {
            case 0 -> opinion(draw, !praise) + " but " + decisive + ".";
            case 1 -> "although " + opinion(draw, !praise) + ", " + decisive + ".";
            case 2 -> person(draw) + " said that " + decisive + ".";
            default -> decisive + ".";
          };
      return new Question("Text: " + text, label);
    }

    private String opinion(Draw draw, boolean praise) {
      boolean negated = draw.percent(25);
      String adjective = draw.of(praise != negated ? Vocabulary.PRAISE : Vocabulary.BLAME);
      String degree = negated ? "not " : draw.percent(40) ? draw.of(Vocabulary.DEGREES) + " " : "";
      return "the " + thing(draw) + " was " + degree + adjective;
    }
  },

  /**
   * Whether sentence 2 follows from sentence 1 (0), contradicts it (1), or neither (2): praise
   * follows from praise and blame from blame; of colours nothing follows.
   */
  ENTAILMENT(3) {
    @Override
    Question ask(int label, Draw draw) {
      String thing = thing(draw);
      boolean praise = draw.percent(50);
      String premise =
          "the %s %s was %s."
              .formatted(draw.of(Vocabulary.COLOURS), thing, draw.of(opinions(praise)));
      String claimed =
          label == 2 ? draw.of(Vocabulary.COLOURS) : draw.of(opinions((label == 0) == praise));
      return new Question(
          "sentence 1: %s\nsentence 2: the %s was %s.".formatted(premise, thing, claimed), label);
    }
  },

  /** Whether the second sentence says the same as the first (0) or not (1). */
  PARAPHRASE(2) {
    @Override
    Question ask(int label, Draw draw) {
      List<String> people = draw.several(2, Vocabulary.PEOPLE);
      String thing = thing(draw);
      boolean big = draw.percent(50);
      String given =
          "%s gave the %s %s to %s."
              .formatted(people.get(0), draw.of(sizes(big)), thing, people.get(1));
      String received =
          "%s received the %s %s from %s."
              .formatted(people.get(1), draw.of(sizes((label == 0) == big)), thing, people.get(0));
      boolean forward = draw.percent(50);
      return new Question(
          "first sentence: %s\nsecond sentence: %s"
              .formatted(forward ? given : received, forward ? received : given),
          label);
    }
  },

  /** Whether a word has the same meaning in both sentences (0) or not (1). */
  WORD_SENSE(2) {
    @Override
    Question ask(int label, Draw draw) {
      Homonym homonym = draw.of(Vocabulary.HOMONYMS);
      int sense = draw.below(2);
      int other = label == 0 ? sense : 1 - sense;
      return new Question(
          "sentence 1: %s\nsentence 2: %s"
              .formatted(use(homonym, sense, draw), use(homonym, other, draw)),
          label);
    }
  },

  /** Whether the answer to the question is yes (0) or no (1): where somebody went counts. */
  YES_NO(2) {
    @Override
    Question ask(int label, Draw draw) {
      boolean north = draw.percent(50);
      return new Question(
          "question: is it in the %s?\npassage: %s"
              .formatted((label == 0) == north ? "north" : "south", journey(north, draw)),
          label);
    }
  },

  /** Practice only: whether something is big (0) or small (1). */
  SIZE(2) {
    @Override
    Question ask(int label, Draw draw) {
      return new Question(
          "Text: %s saw the %s %s."
              .formatted(person(draw), draw.of(sizes(label == 0)), thing(draw)),
          label);
    }
  },

  /** Practice only: whether a word is meant as in nature (0) or as among people (1). */
  NATURE(2) {
    @Override
    Question ask(int label, Draw draw) {
      return new Question("Text: " + use(draw.of(Vocabulary.HOMONYMS), label, draw), label);
    }
  },

  /** Practice only: whether somebody went to the north (0) or to the south (1). */
  DIRECTION(2) {
    @Override
    Question ask(int label, Draw draw) {
      return new Question("passage: " + journey(label == 0, draw), label);
    }
  };

  private final int classes;

  Family(int classes) {
    this.classes = classes;
  }

  int classes() {
    return classes;
  }

  /** In words as a task's name is written: {@code word-sense}. */
  String text() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  /** A new question of a given class. */
  abstract Question ask(int label, Draw draw);

  private static List<String> opinions(boolean praise) {
    return praise ? Vocabulary.PRAISE : Vocabulary.BLAME;
  }

  private static List<String> sizes(boolean big) {
    return big ? Vocabulary.BIG : Vocabulary.SMALL;
  }

  private static String use(Homonym homonym, int sense, Draw draw) {
    List<String> company = draw.several(2, homonym.company().get(sense));
    return switch (draw.below(3)) {
      case 0 ->
          "%s saw the %s, the %s and the %s."
              .formatted(person(draw), homonym.word(), company.get(0), company.get(1));
      case 1 ->
          "the %s with the %s and the %s."
              .formatted(homonym.word(), company.get(0), company.get(1));
      default ->
          "near the %s and the %s was the %s."
              .formatted(company.get(0), company.get(1), homonym.word());
    };
  }

  /** Somebody leaves a place, anywhere, for another one in the north or in the south. */
  private static String journey(boolean north, Draw draw) {
    String to = draw.of(north ? Vocabulary.NORTHERN : Vocabulary.SOUTHERN);
    String from = draw.otherThan(to, Vocabulary.PLACES);
    return draw.percent(50)
        ? "%s sent the %s from %s to %s.".formatted(person(draw), thing(draw), from, to)
        : "%s sent the %s to %s from %s.".formatted(person(draw), thing(draw), to, from);
  }

  private static String person(Draw draw) {
    return draw.of(Vocabulary.PEOPLE);
  }

  private static String place(Draw draw) {
    return draw.of(Vocabulary.PLACES);
  }

  private static String thing(Draw draw) {
    return draw.of(Vocabulary.THINGS);
  }
}
