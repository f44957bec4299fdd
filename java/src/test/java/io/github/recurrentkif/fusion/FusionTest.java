package io.github.recurrentkif.fusion;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.fusion.FusionRule.ByImportance;
import io.github.recurrentkif.fusion.FusionRule.Combine;
import io.github.recurrentkif.fusion.FusionRule.ImportanceFiles;
import io.github.recurrentkif.fusion.FusionRule.Scope;
import io.github.recurrentkif.fusion.FusionRule.Sparsity;
import io.github.recurrentkif.kernels.MergeRule;
import io.github.recurrentkif.kernels.MergeRule.Coefficients;
import io.github.recurrentkif.kernels.cpu.CpuKernels;
import io.github.recurrentkif.kernels.reference.ReferenceProducts;
import io.github.recurrentkif.memory.DataType;
import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.memory.SafetensorsFile;
import io.github.recurrentkif.memory.SafetensorsFolder;
import io.github.recurrentkif.memory.SafetensorsWriter;
import io.github.recurrentkif.memory.Shape;
import io.github.recurrentkif.memory.StoredTensor;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Whole folders fused, against the formulas written down once more in double, tensor by tensor. */
final class FusionTest {

  /** Two tensors: one of several runs and an odd rest, one small. */
  private static final Map<String, Shape> SHAPES =
      Map.of("large", Shape.of(3, 100_003), "small", Shape.of(7));

  @TempDir Path folder;

  private final SplittableRandom random = new SplittableRandom(11);

  @Test
  void averages() throws IOException {
    Path a = model("a", 0);
    Path b = model("b", 0);
    Combine rule = rule(false, Sparsity.EVERY, false, true, 1, 3);
    Path out = fuse("out", null, List.of(a, b), rule, 2);
    expect(out, (tensor, i) -> (read(a, tensor)[i] + 3.0 * read(b, tensor)[i]) / 4);
  }

  @Test
  void mergesTheLargestThatAgreeInSign() throws IOException {
    Path base = model("base", 0);
    Path a = model("a", 0);
    Path b = model("b", 0);
    Path out = fuse("out", base, List.of(a, b), rule(true, Sparsity.LARGE, true, true, 1, 0.5), 2);
    Map<String, Float> boundA = new LinkedHashMap<>();
    Map<String, Float> boundB = new LinkedHashMap<>();
    for (String tensor : SHAPES.keySet()) {
      boundA.put(tensor, bound(difference(a, base, tensor), 0.2));
      boundB.put(tensor, bound(difference(b, base, tensor), 0.2));
    }
    expect(
        out,
        (tensor, i) -> {
          float ta = difference(a, base, tensor)[i];
          float tb = difference(b, base, tensor)[i];
          double x = Math.abs(ta) >= boundA.getOrDefault(tensor, Float.NaN) ? ta : 0;
          double y = Math.abs(tb) >= boundB.getOrDefault(tensor, Float.NaN) ? tb : 0;
          double sign = Math.signum(x + 0.5 * y);
          double sum = 0;
          double weights = 0;
          if (x != 0 && Math.signum(x) == sign) {
            sum += x;
            weights += 1;
          }
          if (y != 0 && Math.signum(y) == sign) {
            sum += 0.5 * y;
            weights += 0.5;
          }
          return read(base, tensor)[i] + (weights == 0 ? 0 : sum / weights);
        });
  }

  @Test
  void drawsTheAskedShareAndRescalesIt() throws IOException {
    Path base = model("base", 0);
    Path a = model("a", 0);
    Path out = fuse("out", base, List.of(a), rule(true, Sparsity.RANDOM, false, false, 1), 2);
    long taken = 0;
    float[] result = read(out, "large");
    float[] difference = difference(a, base, "large");
    float[] origin = read(base, "large");
    for (int i = 0; i < result.length; i++) {
      if (result[i] != origin[i]) {
        taken++;
        assertEquals(origin[i] + difference[i] / 0.2, result[i], 1e-5);
      }
    }
    double share = taken / (double) result.length;
    assertEquals(0.2, share, 5 * Math.sqrt(0.16 / result.length));
  }

  @Test
  void mergesByImportanceUnderOneThresholdForAllTensors() throws IOException {
    Path base = model("base", 0);
    Path a = model("a", 0);
    Path b = model("b", 0);
    float boundA = quantile(all(a, base), 0.8);
    float boundB = quantile(all(b, base), 0.8);
    ByImportance rule = new ByImportance(0.8, Scope.GLOBAL, MergeRule.referenceMasks(), List.of());
    Path out = fuse("out", base, List.of(a, b), rule, 2);
    expect(
        out,
        (tensor, i) -> {
          float ta = difference(a, base, tensor)[i];
          float tb = difference(b, base, tensor)[i];
          return read(base, tensor)[i] + merged(ta, tb, ta, tb, boundA, boundB);
        });
  }

  @Test
  void mergesByGivenImportancesUnderAThresholdForEachTensor() throws IOException {
    Path base = model("base", 0);
    Path a = model("a", 0);
    Path b = model("b", 0);
    Path newScore = model("new-score", 0).resolve(SafetensorsFolder.SINGLE);
    Path oldScore = model("old-score", 0).resolve(SafetensorsFolder.SINGLE);
    Path out = folder.resolve("out");
    try (StoredModel importanceA = StoredModel.open(newScore);
        StoredModel importanceB = StoredModel.open(oldScore)) {
      ByImportance rule =
          new ByImportance(
              0.7,
              Scope.TENSOR,
              MergeRule.referenceMasks(),
              List.of(
                  new ImportanceFiles(List.of(importanceA)),
                  new ImportanceFiles(List.of(importanceB))));
      fuse("out", base, List.of(a, b), rule, 2);
    }
    expect(
        out,
        (tensor, i) -> {
          float[] scoreA = magnitudes(read(folder.resolve("new-score"), tensor));
          float[] scoreB = magnitudes(read(folder.resolve("old-score"), tensor));
          return read(base, tensor)[i]
              + merged(
                  difference(a, base, tensor)[i],
                  difference(b, base, tensor)[i],
                  scoreA[i],
                  scoreB[i],
                  quantile(scoreA, 0.7),
                  quantile(scoreB, 0.7));
        });
  }

  @Test
  void mergesBySoftWeightsOverTheRangeOfAllTensors() throws IOException {
    Path base = model("base", 0);
    Path a = model("a", 0);
    Path b = model("b", 0);
    float[] scoresA = all(a, base);
    float[] scoresB = all(b, base);
    ByImportance rule = new ByImportance(0, Scope.GLOBAL, new MergeRule.Soft(0.3), List.of());
    Path out = fuse("out", base, List.of(a, b), rule, 2);
    expect(
        out,
        (tensor, i) -> {
          float ta = difference(a, base, tensor)[i];
          float tb = difference(b, base, tensor)[i];
          double toNew = share(normalised(ta, scoresA), normalised(tb, scoresB), 0.3);
          return read(base, tensor)[i] + toNew * ta + (1 - toNew) * tb;
        });
    for (int threads : new int[] {1, 3}) {
      Path other = fuse("threads-" + threads, base, List.of(a, b), rule, threads);
      assertEquals(
          -1,
          Files.mismatch(
              out.resolve(SafetensorsFolder.SINGLE), other.resolve(SafetensorsFolder.SINGLE)));
    }
  }

  @Test
  void mergesBySoftWeightsOfTwoImportancesOverTheRangeOfEachTensor() throws IOException {
    Path base = model("base", 0);
    Path a = model("a", 0);
    Path b = model("b", 0);
    List<Path> files = new ArrayList<>();
    for (String name : List.of("new-i", "new-u", "old-i", "old-u")) {
      files.add(model(name, 0));
    }
    Path out = folder.resolve("out");
    List<StoredModel> opened = files.stream().map(StoredModel::open).toList();
    try {
      fuse(
          "out",
          base,
          List.of(a, b),
          new ByImportance(
              0,
              Scope.TENSOR,
              new MergeRule.Soft(1),
              List.of(
                  new ImportanceFiles(opened.subList(0, 2)),
                  new ImportanceFiles(opened.subList(2, 4)))),
          2);
    } finally {
      opened.forEach(StoredModel::close);
    }
    Map<String, float[]> toNew = new LinkedHashMap<>();
    Map<String, float[]> toOld = new LinkedHashMap<>();
    for (String tensor : SHAPES.keySet()) {
      toNew.put(tensor, products(files.get(0), files.get(1), tensor));
      toOld.put(tensor, products(files.get(2), files.get(3), tensor));
    }
    expect(
        out,
        (tensor, i) -> {
          float[] scoresA = toNew.getOrDefault(tensor, new float[0]);
          float[] scoresB = toOld.getOrDefault(tensor, new float[0]);
          double share = share(normalised(scoresA[i], scoresA), normalised(scoresB[i], scoresB), 1);
          return read(base, tensor)[i]
              + share * difference(a, base, tensor)[i]
              + (1 - share) * difference(b, base, tensor)[i];
        });
  }

  private float[] products(Path i, Path u, String tensor) throws IOException {
    float[] products = read(i, tensor).clone();
    for (int k = 0; k < products.length; k++) {
      products[k] *= read(u, tensor)[k];
    }
    return magnitudes(products);
  }

  /** Where a score lies among all: 0 for the least, 1 for the greatest. */
  private static double normalised(float score, float[] all) {
    double least = Float.POSITIVE_INFINITY;
    double greatest = 0;
    for (float other : all) {
      least = Math.min(least, other);
      greatest = Math.max(greatest, other);
    }
    return (Math.abs(score) - least) / (greatest - least);
  }

  /** What exp(x/temperature) is of the sum of both. */
  private static double share(double x, double y, double temperature) {
    double toX = Math.exp(x / temperature);
    return toX / (toX + Math.exp(y / temperature));
  }

  private static double merged(
      float ta, float tb, float scoreA, float scoreB, float boundA, float boundB) {
    MergeRule.Masks rule = MergeRule.referenceMasks();
    boolean toNew = Math.abs(scoreA) > boundA;
    boolean toOld = Math.abs(scoreB) > boundB;
    Coefficients c =
        toNew ? toOld ? rule.shared() : rule.newOnly() : toOld ? rule.oldOnly() : rule.redundant();
    return (double) c.inner() * ta + (double) c.outer() * tb;
  }

  @Test
  void givesTheSameBytesForAnyNumberOfThreads() throws IOException {
    Path base = model("base", 0);
    List<Path> models = List.of(model("a", 0), model("b", 0));
    for (Sparsity sparsity : Sparsity.values()) {
      Combine rule = rule(true, sparsity, true, true, 1, 1);
      Path one = fuse("one-" + sparsity, base, models, rule, 1);
      Path three = fuse("three-" + sparsity, base, models, rule, 3);
      assertEquals(
          -1,
          Files.mismatch(
              one.resolve(SafetensorsFolder.SINGLE), three.resolve(SafetensorsFolder.SINGLE)));
    }
  }

  @Test
  void refusesNumbersThatAreNoneAndLeavesNothing() throws IOException {
    Path base = model("base", 0);
    Path broken = model("broken", Float.NaN);
    for (FusionRule rule :
        List.of(
            rule(false, Sparsity.EVERY, false, true, 1, 1),
            rule(true, Sparsity.LARGE, true, true, 1, 1),
            rule(true, Sparsity.EVERY, false, false, 1, 1),
            // Drawn or not, and where signs have to agree, which NaN never does.
            rule(true, Sparsity.RANDOM, false, false, 1, 1),
            rule(true, Sparsity.RANDOM, true, false, 1, 1),
            // So few that nothing of a tensor is taken.
            new Combine(true, Sparsity.LARGE, 1e-9, true, true, 1, 5, List.of(1.0, 1.0)),
            new ByImportance(0.8, Scope.GLOBAL, MergeRule.referenceMasks(), List.of()),
            new ByImportance(0, Scope.GLOBAL, new MergeRule.Soft(1), List.of()),
            new ByImportance(0, Scope.TENSOR, new MergeRule.Soft(1), List.of()))) {
      InputException error =
          assertThrows(
              InputException.class, () -> fuse("out", base, List.of(base, broken), rule, 2));
      String message = String.valueOf(error.getMessage());
      Path file = broken.resolve(SafetensorsFolder.SINGLE);
      assertTrue(message.startsWith(file + ": tensor 'large' holds NaN at [0, 0]"), message);
      assertFalse(Files.exists(folder.resolve("out")));
    }
    try (var left = Files.list(folder)) {
      assertEquals(List.of(), left.filter(p -> p.toString().contains(".tmp-")).toList());
    }
  }

  @Test
  void namesTheBaseOrTheImportancesThatHoldSuch() throws IOException {
    Path base = model("base", 0);
    Path broken = model("broken", Float.POSITIVE_INFINITY);
    String words = broken.resolve(SafetensorsFolder.SINGLE) + ": tensor 'large' holds Infinity";
    Combine ties = rule(true, Sparsity.LARGE, true, true, 1, 1);
    InputException error =
        assertThrows(InputException.class, () -> fuse("out", broken, List.of(base, base), ties, 2));
    assertTrue(String.valueOf(error.getMessage()).startsWith(words), error.getMessage());
    try (StoredModel sound = StoredModel.open(base);
        StoredModel infinite = StoredModel.open(broken)) {
      ImportanceFiles one = new ImportanceFiles(List.of(sound));
      ImportanceFiles two = new ImportanceFiles(List.of(sound, infinite));
      for (MergeRule.Weighting weighting :
          List.of(MergeRule.referenceMasks(), new MergeRule.Soft(1))) {
        ByImportance rule = new ByImportance(0.8, Scope.GLOBAL, weighting, List.of(one, two));
        error =
            assertThrows(
                InputException.class, () -> fuse("out", base, List.of(base, base), rule, 2));
        assertTrue(String.valueOf(error.getMessage()).startsWith(words), error.getMessage());
      }
    }
  }

  @Test
  void refusesWhatIsFiniteButTooLarge() throws IOException {
    Path least = model("least", -3e38f);
    Path greatest = model("greatest", 3e38f);
    for (FusionRule rule :
        List.of(
            rule(true, Sparsity.EVERY, false, false, 1),
            rule(true, Sparsity.LARGE, true, true, 1),
            rule(true, Sparsity.RANDOM, false, false, 1))) {
      InputException error =
          assertThrows(InputException.class, () -> fuse("out", least, List.of(greatest), rule, 2));
      String message = String.valueOf(error.getMessage());
      assertTrue(message.contains("'large'") && message.contains("too large for F32"), message);
    }
  }

  @Test
  void refusesTensorsThatItWouldHaveToCopyThoughTheyAreWeights() throws IOException {
    Path wide = Files.createDirectories(folder.resolve("wide"));
    try (Arena arena = Arena.ofConfined()) {
      List<StoredTensor> tensors = new ArrayList<>();
      for (DataType type : List.of(DataType.F32, DataType.F64)) {
        Shape shape = Shape.of(2);
        MemorySegment zeros = arena.allocate(type.bytes(shape), 8);
        tensors.add(new StoredTensor("of-" + type, type, shape, zeros));
      }
      SafetensorsWriter.write(
          wide.resolve(SafetensorsFolder.SINGLE), tensors, new LinkedHashMap<>());
    }
    InputException error =
        assertThrows(
            InputException.class,
            () -> fuse("out", null, List.of(wide), rule(false, Sparsity.EVERY, false, true, 1), 1));
    String message = String.valueOf(error.getMessage());
    assertTrue(message.contains("'of-F64' holds F64"), message);
  }

  @Test
  void refusesAnOutputThatExists() throws IOException {
    Path base = model("base", 0);
    InputException error =
        assertThrows(
            InputException.class,
            () ->
                fuse("base", base, List.of(base), rule(true, Sparsity.EVERY, false, false, 1), 1));
    String message = String.valueOf(error.getMessage());
    assertTrue(message.contains("exists already"), message);
  }

  @Test
  void listsWhatDiffers() throws IOException {
    Path first = model("first", 0);
    Path second = folder.resolve("second");
    write(second, Map.of("large", Shape.of(2, 2), "other", Shape.of(7)), 0);
    try (StoredModel a = StoredModel.open(first);
        StoredModel b = StoredModel.open(second)) {
      String message =
          String.valueOf(
              assertThrows(InputException.class, () -> Mismatch.requireNone(a, b)).getMessage());
      assertTrue(message.contains("3 tensors differ"), message);
      assertTrue(message.contains("'small' is missing in the second"), message);
      assertTrue(message.contains("'other' is missing in the first"), message);
      assertTrue(message.contains("[3, 100003] in the first and [2, 2] in the second"), message);
    }
  }

  @Test
  void keepsShardsAndCompanionsAndChangesTheType() throws IOException {
    Path sharded = folder.resolve("sharded");
    Files.createDirectories(sharded);
    write(sharded, "model-00001-of-00002.safetensors", Map.of("large", SHAPES.get("large")), 0);
    write(sharded, "model-00002-of-00002.safetensors", Map.of("small", SHAPES.get("small")), 0);
    Files.writeString(
        sharded.resolve(SafetensorsFolder.INDEX),
        """
        {"metadata": {}, "weight_map": {"large": "model-00001-of-00002.safetensors",
         "small": "model-00002-of-00002.safetensors"}}
        """);
    Files.writeString(sharded.resolve("config.json"), "{\"torch_dtype\": \"float32\"}");
    Files.writeString(sharded.resolve("tokenizer.json"), "{}");
    Files.writeString(sharded.resolve("pytorch_model.bin"), "old");
    Path out = folder.resolve("out");
    try (StoredModel base = StoredModel.open(sharded);
        Fusion fusion =
            fusion(null, List.of(base), rule(false, Sparsity.EVERY, false, true, 1), 2)) {
      new FusedFolder(base, DataType.BF16).write(out, fusion, Map.of("rule", "linear"));
    }
    try (SafetensorsFolder result = SafetensorsFolder.open(out)) {
      assertEquals(DataType.BF16, result.dataType("large"));
      assertEquals(2, result.names().size());
    }
    assertTrue(Files.readString(out.resolve("config.json")).contains("bfloat16"));
    assertTrue(Files.exists(out.resolve("tokenizer.json")));
    assertTrue(Files.exists(out.resolve("fusion.json")));
    assertFalse(Files.exists(out.resolve("pytorch_model.bin")));
  }

  @Test
  void appliesAnAdapterAsItReads() throws IOException {
    Path base = folder.resolve("base");
    write(base, Map.of("layer.weight", Shape.of(5, 3)), 0);
    Path adapter = adapter("adapter", 2);
    float[] a = readFile(adapter.resolve("adapter_model.safetensors"), A);
    float[] b = readFile(adapter.resolve("adapter_model.safetensors"), B);
    float[] weight = read(base, "layer.weight");
    try (StoredModel model = StoredModel.open(base);
        AdaptedModel adapted = AdaptedModel.open(adapter, model, new ReferenceProducts());
        Arena arena = Arena.ofConfined()) {
      // Any run, beginning and ending within a row.
      var run = adapted.read("layer.weight", 2, 9, arena.allocate(100, 4));
      for (int i = 0; i < 9; i++) {
        int row = (i + 2) / 3;
        int column = (i + 2) % 3;
        double product = 0;
        for (int k = 0; k < 2; k++) {
          product += (double) b[row * 2 + k] * a[k * 3 + column];
        }
        assertEquals(weight[i + 2] + 2 * product, run.data().getAtIndex(JAVA_FLOAT, i), 1e-6);
      }
    }
  }

  @Test
  void concatenatesAdaptersExactly() throws IOException {
    Path first = adapter("first", 2);
    Path second = adapter("second", 3);
    Path out = folder.resolve("out");
    ConcatenatedAdapter.write(out, List.of(first, second), List.of(0.5, 2.0), Map.of());
    assertTrue(Files.exists(out.resolve("fusion.json")));
    double[] expected = new double[15];
    add(expected, first, 2, 0.5 * 2); // alpha is 4
    add(expected, second, 3, 2.0 * 4 / 3);
    double[] found = new double[15];
    add(found, out, 5, 1);
    assertArrayEquals(expected, found, 1e-6);
    String config = Files.readString(out.resolve("adapter_config.json"));
    assertTrue(config.contains("\"r\" : 5") && config.contains("\"lora_alpha\" : 5"), config);
  }

  @Test
  void refusesAdaptersWhoseFactorsCannotBeMultiplied() throws IOException {
    Path sound = adapter("sound", 2);
    Path broken = adapter("broken", 2);
    Path weights = broken.resolve("adapter_model.safetensors");
    Path base = folder.resolve("base");
    write(base, Map.of("layer.weight", Shape.of(5, 3)), 0);
    Files.delete(weights);
    write(
        broken, "adapter_model.safetensors", Map.of(A, Shape.of(2, 3), B, Shape.of(5, 2)), 1 / 0f);
    requireRefused(base, sound, broken, "lora_A.weight' holds Infinity at [0, 0]");
    Files.write(weights, Arrays.copyOf(Files.readAllBytes(weights), 200));
    requireRefused(base, sound, broken, broken + ": cannot be read");
    try (Arena arena = Arena.ofConfined()) {
      List<StoredTensor> wide = new ArrayList<>();
      for (var shape : Map.of(A, Shape.of(2, 3), B, Shape.of(5, 2)).entrySet()) {
        MemorySegment zeros = arena.allocate(shape.getValue().elements() * Double.BYTES, 8);
        wide.add(new StoredTensor(shape.getKey(), DataType.F64, shape.getValue(), zeros));
      }
      Files.delete(weights);
      SafetensorsWriter.write(weights, wide, new LinkedHashMap<>());
    }
    requireRefused(base, sound, broken, "holds F64; F32, F16 and BF16 can be merged");

    for (Shape shape : List.of(Shape.of(6), Shape.of(), Shape.of(2, 3, 1), Shape.of(3, 3))) {
      Files.delete(weights);
      write(broken, "adapter_model.safetensors", Map.of(A, shape, B, Shape.of(5, 2)), 0);
      String words = "'%s': expected shape [2, in], found %s".formatted(A, shape);
      requireRefused(base, sound, broken, words);
      InputException error =
          assertThrows(InputException.class, () -> AdapterFile.requirePairs(broken, 2));
      assertTrue(String.valueOf(error.getMessage()).contains(words), error.getMessage());
    }
    Files.delete(weights);
    write(broken, "adapter_model.safetensors", Map.of(A, Shape.of(2, 3), B, Shape.of(10)), 0);
    requireRefused(base, sound, broken, "'%s': expected shape [out, 2], found [10]".formatted(B));
    Files.delete(weights);
    write(broken, "adapter_model.safetensors", Map.of(B, Shape.of(5, 2)), 0);
    requireRefused(base, sound, broken, "'%s' is missing beside '%s'".formatted(A, B));
  }

  /** As a sum of adapters, and applied to a model; nothing is left behind. */
  private void requireRefused(Path base, Path sound, Path broken, String words) {
    Path out = folder.resolve("out");
    List<Path> both = List.of(sound, broken);
    try (StoredModel model = StoredModel.open(base)) {
      for (InputException error :
          List.of(
              assertThrows(
                  InputException.class,
                  () -> ConcatenatedAdapter.write(out, both, List.of(1.0, 1.0), Map.of())),
              assertThrows(
                  InputException.class,
                  () -> AdaptedModel.open(broken, model, new ReferenceProducts())))) {
        String message = String.valueOf(error.getMessage());
        assertTrue(message.contains(words), message);
      }
    }
    assertFalse(Files.exists(out));
  }

  private static final String A = "base_model.model.layer.lora_A.weight";
  private static final String B = "base_model.model.layer.lora_B.weight";

  private static void add(double[] sum, Path adapter, int rank, double factor) throws IOException {
    float[] a = readFile(adapter.resolve("adapter_model.safetensors"), A);
    float[] b = readFile(adapter.resolve("adapter_model.safetensors"), B);
    for (int row = 0; row < 5; row++) {
      for (int column = 0; column < 3; column++) {
        for (int k = 0; k < rank; k++) {
          sum[row * 3 + column] += factor * b[row * rank + k] * a[k * 3 + column];
        }
      }
    }
  }

  private Path adapter(String name, int rank) throws IOException {
    Path path = folder.resolve(name);
    Files.createDirectories(path);
    write(path, "adapter_model.safetensors", Map.of(A, Shape.of(rank, 3), B, Shape.of(5, rank)), 0);
    Files.writeString(
        path.resolve("adapter_config.json"),
        "{\"peft_type\": \"LORA\", \"r\": %d, \"lora_alpha\": 4, \"target_modules\": [\"layer\"]}"
            .formatted(rank));
    return path;
  }

  // What is expected

  @FunctionalInterface
  private interface Formula {
    double at(String tensor, int i) throws IOException;
  }

  /** Float32 holds the result up to a few roundings. */
  private void expect(Path out, Formula formula) throws IOException {
    for (String tensor : SHAPES.keySet()) {
      float[] found = read(out, tensor);
      // Every element of the small tensor; of the large one some, runs' ends among them.
      int step = found.length < 100 ? 1 : 997;
      for (int i = 0; i < found.length; i += step) {
        assertEquals(formula.at(tensor, i), found[i], 1e-6, tensor + " " + i);
      }
    }
  }

  private final Map<Path, Map<String, float[]>> cached = new LinkedHashMap<>();

  private float[] read(Path model, String tensor) throws IOException {
    Map<String, float[]> tensors = cached.computeIfAbsent(model, _ -> new LinkedHashMap<>());
    float[] values = tensors.get(tensor);
    if (values == null) {
      try (SafetensorsFolder source = SafetensorsFolder.open(model);
          Arena arena = Arena.ofConfined()) {
        values = source.float32(tensor, arena).toArray(JAVA_FLOAT);
      }
      tensors.put(tensor, values);
    }
    return values;
  }

  private static float[] readFile(Path file, String tensor) throws IOException {
    try (SafetensorsFile source = SafetensorsFile.open(file);
        Arena arena = Arena.ofConfined()) {
      return source.float32(tensor, arena).toArray(JAVA_FLOAT);
    }
  }

  private final Map<List<Object>, float[]> differences = new LinkedHashMap<>();

  private float[] difference(Path model, Path base, String tensor) throws IOException {
    List<Object> key = List.of(model, base, tensor);
    float[] known = differences.get(key);
    if (known == null) {
      known = read(model, tensor).clone();
      float[] origin = read(base, tensor);
      for (int i = 0; i < known.length; i++) {
        known[i] -= origin[i];
      }
      differences.put(key, known);
    }
    return known;
  }

  private float[] all(Path model, Path base) throws IOException {
    List<float[]> parts = new ArrayList<>();
    for (String tensor : SHAPES.keySet()) {
      parts.add(difference(model, base, tensor));
    }
    float[] all = new float[parts.stream().mapToInt(part -> part.length).sum()];
    int at = 0;
    for (float[] part : parts) {
      System.arraycopy(part, 0, all, at, part.length);
      at += part.length;
    }
    return magnitudes(all);
  }

  private static float[] magnitudes(float[] values) {
    float[] magnitudes = values.clone();
    for (int i = 0; i < magnitudes.length; i++) {
      magnitudes[i] = Math.abs(magnitudes[i]);
    }
    return magnitudes;
  }

  private static float bound(float[] values, double density) {
    float[] sorted = magnitudes(values);
    Arrays.sort(sorted);
    int taken = (int) (density * sorted.length);
    return taken == 0 ? Float.NaN : sorted[sorted.length - taken];
  }

  private static float quantile(float[] values, double q) {
    float[] sorted = values.clone();
    Arrays.sort(sorted);
    double rank = (double) (float) q * (sorted.length - 1);
    int lower = (int) rank;
    return (float) (sorted[lower] + (rank - lower) * (sorted[lower + 1] - sorted[lower]));
  }

  // What is fused

  private Combine rule(
      boolean taskVectors,
      Sparsity sparsity,
      boolean consensus,
      boolean normalised,
      double... weights) {
    return new Combine(
        taskVectors,
        sparsity,
        0.2,
        consensus,
        normalised,
        1,
        5,
        Arrays.stream(weights).boxed().toList());
  }

  private static Fusion fusion(
      @Nullable StoredModel base, List<Weights> models, FusionRule rule, int threads) {
    return new Fusion(CpuKernels.openFusion(), threads, base, models, rule, _ -> {}, () -> false);
  }

  private Path fuse(
      String name, @Nullable Path base, List<Path> paths, FusionRule rule, int threads)
      throws IOException {
    Path out = folder.resolve(name);
    List<StoredModel> models = paths.stream().map(StoredModel::open).toList();
    StoredModel origin = base == null ? null : StoredModel.open(base);
    try (Fusion fusion = fusion(origin, List.copyOf(models), rule, threads)) {
      new FusedFolder(origin == null ? models.getFirst() : origin, null)
          .write(out, fusion, Map.of());
    } finally {
      models.forEach(StoredModel::close);
      if (origin != null) {
        origin.close();
      }
    }
    return out;
  }

  private Path model(String name, float first) throws IOException {
    Path path = folder.resolve(name);
    write(path, SHAPES, first);
    return path;
  }

  private void write(Path path, Map<String, Shape> shapes, float first) throws IOException {
    Files.createDirectories(path);
    write(path, SafetensorsFolder.SINGLE, shapes, first);
  }

  /**
   * @param first the first element of every tensor
   */
  private void write(Path path, String file, Map<String, Shape> shapes, float first)
      throws IOException {
    try (Arena arena = Arena.ofConfined()) {
      List<StoredTensor> tensors = new ArrayList<>();
      shapes.forEach(
          (name, shape) -> {
            MemorySegment data = arena.allocate(shape.elements() * Float.BYTES, 4);
            for (long i = 0; i < shape.elements(); i++) {
              data.setAtIndex(JAVA_FLOAT, i, (float) random.nextDouble(-1, 1));
            }
            data.setAtIndex(JAVA_FLOAT, 0, first);
            tensors.add(new StoredTensor(name, DataType.F32, shape, data));
          });
      SequencedMap<String, String> none = new LinkedHashMap<>();
      SafetensorsWriter.write(path.resolve(file), tensors, none);
    }
  }
}
