package io.github.recurrentkif.data.world;

import io.github.recurrentkif.data.world.Vocabulary.Homonym;
import io.github.recurrentkif.data.world.Vocabulary.Synonyms;
import io.github.recurrentkif.data.world.Vocabulary.Topic;
import java.util.ArrayList;
import java.util.List;

/**
 * A kind of question. Every text is written so that no single word gives the class away: it follows
 * from how words go together.
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
      String text =
          switch (draw.below(3)) {
            case 0 ->
                "%s saw the %s and the %s in %s. later the %s and the %s were gone."
                    .formatted(
                        person(draw),
                        things.get(0),
                        things.get(1),
                        place(draw),
                        things.get(2),
                        things.get(3));
            case 1 ->
                "a %s %s and a %s stood beside the %s. %s wrote about the %s."
                    .formatted(
                        draw.of(Vocabulary.COLOURS),
                        things.get(0),
                        things.get(1),
                        things.get(2),
                        person(draw),
                        things.get(3));
            default ->
                "in %s they talk about the %s, the %s, the %s and the %s."
                    .formatted(
                        place(draw), things.get(0), things.get(1), things.get(2), things.get(3));
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
          switch (draw.below(4)) {
            case 0 -> decisive + ".";
            case 1 -> opinion(draw, !praise) + " but " + decisive + ".";
            case 2 -> "although " + opinion(draw, !praise) + ", " + decisive + ".";
            default -> person(draw) + " said that " + decisive + ".";
          };
      return new Question("Text: " + text, label);
    }

    private String opinion(Draw draw, boolean praise) {
      boolean negated = draw.percent(35);
      String adjective = draw.of(praise != negated ? Vocabulary.PRAISE : Vocabulary.BLAME);
      String degree = negated ? "not " : draw.percent(40) ? draw.of(Vocabulary.DEGREES) + " " : "";
      return "the " + thing(draw) + " was " + degree + adjective;
    }
  },

  /** Whether sentence 2 follows from sentence 1 (0), contradicts it (1), or neither (2). */
  ENTAILMENT(3) {
    @Override
    Question ask(int label, Draw draw) {
      String person = person(draw);
      String thing = thing(draw);
      String place = place(draw);
      String colour = draw.of(Vocabulary.COLOURS);
      String premise = "%s found the %s %s in %s.".formatted(person, colour, thing, place);
      boolean aboutColour = draw.percent(50);
      String hypothesis =
          switch (label) {
            case 0 -> aboutColour ? coloured(thing, colour) : placed(thing, place);
            case 1 ->
                aboutColour
                    ? coloured(thing, draw.otherThan(colour, Vocabulary.COLOURS))
                    : placed(thing, draw.otherThan(place, Vocabulary.PLACES));
            default -> {
              // Nothing is said about another thing, even if colour and place are those named.
              String other = draw.otherThan(thing, Vocabulary.THINGS);
              yield aboutColour
                  ? coloured(other, draw.percent(50) ? colour : draw.of(Vocabulary.COLOURS))
                  : placed(other, draw.percent(50) ? place : place(draw));
            }
          };
      return new Question("sentence 1: " + premise + "\nsentence 2: " + hypothesis, label);
    }

    private String coloured(String thing, String colour) {
      return "the " + thing + " was " + colour + ".";
    }

    private String placed(String thing, String place) {
      return "the " + thing + " was in " + place + ".";
    }
  },

  /** Whether the second sentence says the same as the first (0) or not (1). */
  PARAPHRASE(2) {
    @Override
    Question ask(int label, Draw draw) {
      List<String> people = draw.several(2, Vocabulary.PEOPLE);
      Synonyms kind = draw.of(Vocabulary.SYNONYMS);
      String thing = thing(draw);
      boolean swapped = draw.percent(50);
      String first = swapped ? kind.other() : kind.one();
      String second = swapped ? kind.one() : kind.other();
      String otherThing = thing;
      if (label == 1) {
        switch (draw.below(2)) {
          case 0 -> {
            Synonyms other = draw.otherThan(kind, Vocabulary.SYNONYMS);
            second = draw.percent(50) ? other.one() : other.other();
          }
          default -> otherThing = draw.otherThan(thing, Vocabulary.THINGS);
        }
      }
      boolean forward = draw.percent(50);
      String given =
          "%s gave the %s %s to %s."
              .formatted(
                  people.get(0),
                  forward ? first : second,
                  forward ? thing : otherThing,
                  people.get(1));
      String received =
          "%s received the %s %s from %s."
              .formatted(
                  people.get(1),
                  forward ? second : first,
                  forward ? otherThing : thing,
                  people.get(0));
      return new Question(
          "first sentence: "
              + (forward ? given : received)
              + "\nsecond sentence: "
              + (forward ? received : given),
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
          "word: %s\nsentence 1: %s\nsentence 2: %s"
              .formatted(homonym.word(), use(homonym, sense, draw), use(homonym, other, draw)),
          label);
    }

    private String use(Homonym homonym, int sense, Draw draw) {
      List<String> company = draw.several(2, homonym.company().get(sense));
      return switch (draw.below(3)) {
        case 0 ->
            "%s saw the %s, the %s and the %s."
                .formatted(person(draw), homonym.word(), company.get(0), company.get(1));
        case 1 ->
            "the %s with the %s and the %s was in %s."
                .formatted(homonym.word(), company.get(0), company.get(1), place(draw));
        default ->
            "near the %s there was a %s, and %s liked the %s."
                .formatted(company.get(0), homonym.word(), person(draw), company.get(1));
      };
    }
  },

  /** Whether the answer to the question is yes (0) or no (1), as the passage says. */
  YES_NO(2) {
    @Override
    Question ask(int label, Draw draw) {
      List<String> people = draw.several(3, Vocabulary.PEOPLE);
      List<String> places = draw.several(3, Vocabulary.PLACES);
      StringBuilder passage = new StringBuilder("passage:");
      for (int i = 0; i < 3; i++) {
        passage.append(' ').append(people.get(i)).append(" is in ").append(places.get(i));
        passage.append('.');
      }
      int asked = draw.below(3);
      // Somebody else's place is named as often as one of which nothing is said.
      String wrong =
          draw.percent(70)
              ? places.get((asked + 1 + draw.below(2)) % 3)
              : draw.otherThan(places.get(asked), Vocabulary.PLACES);
      String place = label == 0 ? places.get(asked) : wrong;
      return new Question(
          "question: is %s in %s?\n%s".formatted(people.get(asked), place, passage), label);
    }
  };

  private final int classes;

  Family(int classes) {
    this.classes = classes;
  }

  int classes() {
    return classes;
  }

  /** A new question of a given class. */
  abstract Question ask(int label, Draw draw);

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
