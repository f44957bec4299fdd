package io.github.recurrentkif.experiment;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.HashMap;
import java.util.Map;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;

/**
 * Runs in the order in which they were planned: whoever lists those of a sweep begins with the
 * method that the sweep begins with, and so tests against the same one.
 */
final class PlannedOrder {

  /**
   * Where a run stands among others.
   *
   * @param of the sweep's folder, or the run's own where it belongs to none
   * @param number in the plan; after all others where the plan does not name the run
   * @param run as it was found
   */
  record Place(Path of, int number, Path run) implements Comparable<Place> {

    private static final Comparator<Place> ORDER =
        Comparator.comparing(Place::of).thenComparingInt(Place::number).thenComparing(Place::run);

    @Override
    public int compareTo(Place other) {
      return ORDER.compare(this, other);
    }
  }

  /** Of each sweep the numbers of its runs, by their folders. */
  private final Map<Path, Map<Path, Integer>> plans = new HashMap<>();

  Place place(Path run) {
    Path whole = run.toAbsolutePath().normalize();
    for (Path above = whole.getParent(); above != null; above = above.getParent()) {
      if (Files.isRegularFile(above.resolve(RunFolder.SWEEP_PLAN))) {
        Map<Path, Integer> plan = plans.computeIfAbsent(above, PlannedOrder::plan);
        return new Place(above, plan.getOrDefault(whole, Integer.MAX_VALUE), run);
      }
    }
    return new Place(whole, 0, run);
  }

  private static Map<Path, Integer> plan(Path sweep) {
    Map<Path, Integer> numbers = new HashMap<>();
    try {
      JsonNode plan = new ObjectMapper().readTree(sweep.resolve(RunFolder.SWEEP_PLAN).toFile());
      for (JsonNode run : plan.path("runs")) {
        String name = run.path("name").asString("");
        numbers.putIfAbsent(sweep.resolve(RunFolder.SWEEP_RUNS).resolve(name), numbers.size());
      }
    } catch (JacksonException e) {
      // Somebody else's file, or a damaged one: the order by name is left.
    }
    return numbers;
  }
}
