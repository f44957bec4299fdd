package io.github.recurrentkif.experiment.sweep;

import io.github.recurrentkif.experiment.sweep.Workload.Amount;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import java.util.TreeMap;
import java.util.function.ToDoubleFunction;
import tools.jackson.databind.JsonNode;

/** How fast runs of each method went, and what memory they took: measured, never assumed. */
public final class Speeds {

  /**
   * What was measured of one method.
   *
   * @param amount that was done
   * @param learning seconds
   * @param answering seconds
   * @param runs that were started
   * @param starting seconds in which they neither learned nor answered
   * @param memory most bytes that one process had to itself
   */
  record Speed(
      Amount amount, double learning, double answering, int runs, double starting, long memory) {

    static final Speed NOTHING = new Speed(Workload.NOTHING, 0, 0, 0, 0, 0);

    Speed plus(Speed other) {
      return new Speed(
          amount.plus(other.amount),
          learning + other.learning,
          answering + other.answering,
          runs + other.runs,
          starting + other.starting,
          Math.max(memory, other.memory));
    }
  }

  private final Map<String, Speed> byMethod = new TreeMap<>();

  /** What {@link #toJson} wrote. */
  static Speeds fromJson(JsonNode json) {
    Speeds speeds = new Speeds();
    json.properties()
        .forEach(
            entry -> {
              JsonNode of = entry.getValue();
              speeds.add(
                  entry.getKey(),
                  new Speed(
                      new Amount(
                          of.path("samples_learned").asDouble(0),
                          of.path("samples_answered").asDouble(0)),
                      of.path("seconds_learning").asDouble(0),
                      of.path("seconds_answering").asDouble(0),
                      of.path("starts").asInt(0),
                      of.path("seconds_starting").asDouble(0),
                      of.path("memory_bytes").asLong(0)));
            });
    return speeds;
  }

  Map<String, Object> toJson() {
    Map<String, Object> json = new LinkedHashMap<>();
    byMethod.forEach(
        (method, speed) -> {
          Map<String, Object> one = new LinkedHashMap<>();
          one.put("samples_learned", speed.amount().learned());
          one.put("seconds_learning", speed.learning());
          one.put("samples_answered", speed.amount().answered());
          one.put("seconds_answering", speed.answering());
          one.put("starts", speed.runs());
          one.put("seconds_starting", speed.starting());
          one.put("memory_bytes", speed.memory());
          json.put(method, one);
        });
    return json;
  }

  void add(String method, Speed speed) {
    byMethod.merge(method, speed, Speed::plus);
  }

  void addAll(Speeds other) {
    other.byMethod.forEach(this::add);
  }

  /** Whether both learning and answering were measured for a method. */
  public boolean knows(String method) {
    Speed speed = byMethod.getOrDefault(method, Speed.NOTHING);
    return speed.amount().learned() > 0 && speed.amount().answered() > 0;
  }

  /** The most that one process of a method had to itself, or of any where it is not known. */
  public OptionalLong memory(String method) {
    long own = byMethod.getOrDefault(method, Speed.NOTHING).memory();
    long any = byMethod.values().stream().mapToLong(Speed::memory).max().orElse(0);
    long bytes = own > 0 ? own : any;
    return bytes > 0 ? OptionalLong.of(bytes) : OptionalLong.empty();
  }

  /** Seconds that so much takes one process; empty while nothing tells. */
  public OptionalDouble seconds(String method, Amount amount, boolean start) {
    OptionalDouble learning =
        rate(method, Speed::learning, speed -> speed.amount().learned(), amount.learned());
    OptionalDouble answering =
        rate(method, Speed::answering, speed -> speed.amount().answered(), amount.answered());
    if (learning.isEmpty() || answering.isEmpty()) {
      return OptionalDouble.empty();
    }
    double starting = start ? rate(method, Speed::starting, Speed::runs, 1).orElse(0) : 0;
    return OptionalDouble.of(learning.getAsDouble() + answering.getAsDouble() + starting);
  }

  private OptionalDouble rate(
      String method, ToDoubleFunction<Speed> seconds, ToDoubleFunction<Speed> count, double of) {
    if (of == 0) {
      return OptionalDouble.of(0);
    }
    Speed known = byMethod.getOrDefault(method, Speed.NOTHING);
    if (count.applyAsDouble(known) <= 0) {
      known = byMethod.values().stream().reduce(Speed.NOTHING, Speed::plus);
    }
    double counted = count.applyAsDouble(known);
    return counted > 0
        ? OptionalDouble.of(of * seconds.applyAsDouble(known) / counted)
        : OptionalDouble.empty();
  }
}
