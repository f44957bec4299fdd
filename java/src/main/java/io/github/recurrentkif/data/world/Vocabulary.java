package io.github.recurrentkif.data.world;

import java.util.List;
import java.util.stream.Stream;

/** The words of the world. All tasks are about the same people, places and things. */
final class Vocabulary {

  /** A field of life with the things that belong to it. */
  record Topic(String name, List<String> things) {}

  /** A word with two meanings: what it is seen with in nature, and what among people. */
  record Homonym(String word, List<List<String>> company) {}

  static final List<String> PEOPLE =
      words("Anna Boris Clara David Emma Felix Greta Hugo Irene Jonas Karin Lukas");

  static final List<String> NORTHERN = words("Oslo Bergen Riga Quebec");

  static final List<String> SOUTHERN = words("Lima Cairo Lagos Perth");

  static final List<String> PLACES = Stream.concat(NORTHERN.stream(), SOUTHERN.stream()).toList();

  static final List<String> COLOURS = words("red blue green yellow black white");

  static final List<Topic> TOPICS =
      List.of(
          new Topic("sport", words("ball racket coach team stadium trophy")),
          new Topic("music", words("guitar song concert piano choir drum")),
          new Topic("food", words("bread soup cheese cake apple oven")),
          new Topic("science", words("telescope theory laboratory planet formula atom")),
          new Topic("travel", words("train ticket ship suitcase harbour airport")),
          new Topic("money", words("loan market price contract coin tax")));

  static final List<String> THINGS =
      TOPICS.stream().flatMap(topic -> topic.things().stream()).toList();

  static final List<String> PRAISE = words("wonderful lovely brilliant pleasant charming superb");

  static final List<String> BLAME = words("awful boring terrible dull ugly dreadful");

  static final List<String> DEGREES = words("very really quite rather");

  static final List<Homonym> HOMONYMS =
      List.of(
          homonym("bank", "river reeds mud fishing", "teller cash vault savings"),
          homonym("bat", "cave wings night insects", "pitcher helmet swing inning"),
          homonym("spring", "blossom april rain meadow", "metal coil mattress wire"),
          homonym("plant", "leaf roots flower soil", "factory engine workers steel"),
          homonym("seal", "ocean whiskers flippers ice", "wax envelope stamp letter"),
          homonym("star", "sky galaxy comet moon", "film actor stage fame"));

  static final List<String> BIG = words("big large huge giant");

  static final List<String> SMALL = words("small little tiny slight");

  private Vocabulary() {}

  private static Homonym homonym(String word, String first, String second) {
    return new Homonym(word, List.of(words(first), words(second)));
  }

  static List<String> words(String text) {
    return List.of(text.split(" "));
  }
}
