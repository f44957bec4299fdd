package io.github.recurrentkif.kernels.bench;

import io.github.recurrentkif.kernels.bench.Outcome.Entry;
import io.github.recurrentkif.kernels.bench.Outcome.Times;
import io.github.recurrentkif.memory.AtomicFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.List;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * Outcomes as a file of JSON; times in microseconds.
 *
 * @param repetitions rounds
 */
public record BenchReport(Machine machine, int repetitions, List<Outcome> outcomes) {

  private static final JsonMapper JSON = new JsonMapper();

  public BenchReport {
    outcomes = List.copyOf(outcomes);
  }

  /** Writes the file whole or not at all. */
  public void write(Path file) {
    AtomicFile.write(file, (toJson().toPrettyString() + "\n").getBytes(StandardCharsets.UTF_8));
  }

  ObjectNode toJson() {
    ObjectNode json = JSON.createObjectNode();
    json.put("format", 1);
    json.put("taken", Instant.now().truncatedTo(ChronoUnit.SECONDS).toString());
    ObjectNode facts = json.putObject("machine");
    facts.put("processor", machine.processor());
    facts.put("cores", machine.cores());
    facts.put("largest_cache_bytes", machine.largestCache());
    facts.put("system", machine.system());
    facts.put("java", machine.java());
    facts.put("load_before", machine.load());
    json.put("repetitions", repetitions);
    ArrayNode results = json.putArray("results");
    for (Outcome outcome : outcomes) {
      write(outcome, results.addObject());
    }
    return json;
  }

  private static void write(Outcome outcome, ObjectNode json) {
    json.put("device", outcome.device());
    json.put("operation", outcome.operation().optionName());
    json.put("n", outcome.n());
    json.put("values", outcome.values().optionName());
    json.put("bytes", outcome.bytes());
    ObjectNode copy = json.putObject("copy");
    copy.put("contestant", outcome.copy().contestant());
    copy.put("bytes", outcome.copy().bytes());
    write(outcome.copy().times().cold(), outcome.copy().bytes(), copy.putObject("cold"));
    write(outcome.copy().times().warm(), outcome.copy().bytes(), copy.putObject("warm"));
    ArrayNode entries = json.putArray("contestants");
    for (Entry entry : outcome.entries()) {
      ObjectNode node = entries.addObject();
      node.put("name", entry.contestant());
      node.put("agrees", entry.fault().isEmpty());
      entry.fault().ifPresent(fault -> node.put("fault", fault));
      entry.times().ifPresent(times -> write(outcome, times, node));
    }
  }

  private static void write(Outcome outcome, Times times, ObjectNode node) {
    ObjectNode cold = node.putObject("cold");
    write(times.cold(), outcome.bytes(), cold);
    cold.put("share_of_copy", outcome.coldShare(times));
    ObjectNode warm = node.putObject("warm");
    write(times.warm(), outcome.bytes(), warm);
    warm.put("share_of_copy", outcome.warmShare(times));
  }

  private static void write(Sample sample, long bytes, ObjectNode json) {
    json.put("median_us", sample.median() / 1e3);
    json.put("lower_quartile_us", sample.lowerQuartile() / 1e3);
    json.put("upper_quartile_us", sample.upperQuartile() / 1e3);
    json.put("least_us", sample.least() / 1e3);
    json.put("gigabytes_per_second", sample.gigabytesPerSecond(bytes));
  }
}
