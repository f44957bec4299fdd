package io.github.recurrentkif.kernels.bench;

import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;

/**
 * How a field did one operation on one number of elements.
 *
 * @param bytes the least that the operation moves
 * @param copy the fastest copy of as many bytes
 */
public record Outcome(
    String device,
    Operation operation,
    long n,
    Values values,
    long bytes,
    Copy copy,
    List<Entry> entries) {

  public Outcome {
    entries = List.copyOf(entries);
  }

  /** Times with cleared caches, and right after the same work on the same arrays. */
  public record Times(Sample cold, Sample warm) {}

  /**
   * The yardstick.
   *
   * @param bytes that it read and wrote
   */
  public record Copy(String contestant, long bytes, Times times) {}

  /**
   * @param fault how its result differs from the specification; empty if it does not
   * @param times nothing if there is a fault
   */
  public record Entry(String contestant, Optional<String> fault, Optional<Times> times) {}

  /** Whether all contestants agree with the specification. */
  public boolean agrees() {
    return entries.stream().allMatch(entry -> entry.fault().isEmpty());
  }

  /** The share of the copy's bandwidth that a time stands for, caches cleared. */
  public double coldShare(Times times) {
    return times.cold().gigabytesPerSecond(bytes)
        / copy.times().cold().gigabytesPerSecond(copy.bytes());
  }

  /** The share of the copy's bandwidth that a time stands for, right after the same work. */
  public double warmShare(Times times) {
    return times.warm().gigabytesPerSecond(bytes)
        / copy.times().warm().gigabytesPerSecond(copy.bytes());
  }

  /** The median with cleared caches of the first entry, the specification on a CPU. */
  public OptionalDouble firstMedian() {
    return median(entries.getFirst());
  }

  /** The least median with cleared caches. */
  public OptionalDouble leastMedian() {
    return entries.stream()
        .map(Outcome::median)
        .filter(OptionalDouble::isPresent)
        .mapToDouble(OptionalDouble::getAsDouble)
        .min();
  }

  private static OptionalDouble median(Entry entry) {
    return entry.times().stream().mapToDouble(times -> times.cold().median()).findFirst();
  }
}
