package io.github.recurrentkif.data.world;

import java.util.List;

/** The words of the world. All tasks are about the same people, places and things. */
final class Vocabulary {

  /** A field of life with the things that belong to it. */
  record Topic(String name, List<String> things) {}

  /** A word with two meanings, and what each meaning is seen with. */
  record Homonym(String word, List<List<String>> company) {}

  /** Two words for the same thing. */
  record Synonyms(String one, String other) {}

  static final List<String> PEOPLE =
      words(
          "Anna Boris Clara David Emma Felix Greta Hugo Irene Jonas Karin Lukas Maria Nils Olga"
              + " Peter Rosa Simon Tilda Victor");

  static final List<String> PLACES =
      words("Oslo Lima Cairo Kyoto Bergen Porto Turin Quebec Lagos Dublin Riga Perth");

  static final List<String> COLOURS = words("red blue green yellow black white");

  static final List<Topic> TOPICS =
      List.of(
          new Topic("sport", words("ball racket coach team stadium trophy referee goal")),
          new Topic("music", words("guitar song concert piano choir drum album violin")),
          new Topic("food", words("bread soup cheese cake apple oven salad butter")),
          new Topic(
              "science", words("telescope theory laboratory planet formula atom magnet cell")),
          new Topic("travel", words("train ticket ship suitcase harbour airport hotel luggage")),
          new Topic("money", words("loan market price contract coin tax salary budget")));

  static final List<String> THINGS =
      TOPICS.stream().flatMap(topic -> topic.things().stream()).toList();

  static final List<String> PRAISE =
      words("wonderful lovely brilliant pleasant charming superb delightful excellent");

  static final List<String> BLAME = words("awful boring terrible dull ugly dreadful poor horrible");

  static final List<String> DEGREES = words("very really quite rather");

  static final List<Homonym> HOMONYMS =
      List.of(
          homonym("bank", "teller cash vault savings", "river reeds mud fishing"),
          homonym("bat", "cave wings night insects", "pitcher helmet swing inning"),
          homonym("light", "lamp candle bulb switch", "feather weight paper foam"),
          homonym("spring", "blossom april rain meadow", "metal coil mattress wire"),
          homonym("ring", "gold finger jewel wedding", "bell phone door alarm"),
          homonym("seal", "ocean whiskers flippers ice", "wax envelope stamp letter"),
          homonym("match", "flame smoke tinder fire", "league score players halftime"),
          homonym("star", "sky galaxy comet moon", "film actor stage fame"));

  static final List<Synonyms> SYNONYMS =
      List.of(
          new Synonyms("big", "large"),
          new Synonyms("small", "little"),
          new Synonyms("quick", "fast"),
          new Synonyms("old", "ancient"),
          new Synonyms("strange", "odd"),
          new Synonyms("cheap", "inexpensive"));

  private Vocabulary() {}

  private static Homonym homonym(String word, String first, String second) {
    return new Homonym(word, List.of(words(first), words(second)));
  }

  static List<String> words(String text) {
    return List.of(text.split(" "));
  }
}
