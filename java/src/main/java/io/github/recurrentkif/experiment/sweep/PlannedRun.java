package io.github.recurrentkif.experiment.sweep;

import io.github.recurrentkif.experiment.BackendRequest;
import io.github.recurrentkif.experiment.RunConfiguration;
import io.github.recurrentkif.experiment.Settings;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SequencedMap;
import java.util.zip.CRC32;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;

/**
 * One run of a sweep.
 *
 * @param label as the file labels it, else the method and the settings that tell it from others:
 *     {@code recurrent-kif,quantile=0.7}
 * @param order the name of the order of tasks; empty where the sweep has only one
 * @param chosen the settings somebody chose, by name, as typed
 */
public record PlannedRun(
    String label,
    String order,
    RunConfiguration configuration,
    SequencedMap<String, String> chosen,
    BackendRequest backend) {

  /** Of a file name: most file systems allow 255 bytes. */
  private static final int LONGEST = 120;

  public long seed() {
    return configuration.settings().get(Settings.SEED);
  }

  /** Below the folders of a sweep: {@code recurrent-kif,quantile=0.7/order-1/seed-3}. */
  public String name() {
    String seed = "seed-" + seed();
    return fileName(label) + "/" + (order.isEmpty() ? "" : fileName(order) + "/") + seed;
  }

  static String fileName(String text) {
    String name = text.replaceAll("[^A-Za-z0-9_.,=+-]", "+");
    if (name.length() <= LONGEST) {
      return name;
    }
    CRC32 rest = new CRC32();
    rest.update(name.getBytes(StandardCharsets.UTF_8));
    return "%s-%08x".formatted(name.substring(0, LONGEST), rest.getValue());
  }

  /** A configuration file for {@code kif train}, which says what was chosen and no more. */
  byte[] configurationFile(int threads) {
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("model", configuration.model().toAbsolutePath().normalize().toString());
    json.put("data", configuration.data().toAbsolutePath().normalize().toString());
    json.put("tasks", configuration.tasks());
    json.put("method", configuration.method().text());
    Map<String, Object> machinery = new LinkedHashMap<>();
    backend.device().ifPresent(device -> machinery.put("device", device));
    backend
        .library()
        .ifPresent(file -> machinery.put("onnx-runtime", file.toAbsolutePath().toString()));
    backend.graph().ifPresent(graph -> machinery.put("graph", graph));
    backend.lean().ifPresent(lean -> machinery.put("lean", lean));
    json.put("backend", machinery);
    Map<String, String> settings = new LinkedHashMap<>(chosen);
    settings.put(Settings.THREADS.name(), String.valueOf(threads));
    json.put("settings", settings);
    return JsonMapper.builder()
        .enable(SerializationFeature.INDENT_OUTPUT)
        .build()
        .writeValueAsBytes(json);
  }
}
