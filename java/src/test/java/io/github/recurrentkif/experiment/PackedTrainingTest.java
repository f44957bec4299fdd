package io.github.recurrentkif.experiment;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.RequiredOperators;
import io.github.recurrentkif.data.Batch;
import io.github.recurrentkif.experiment.verification.Measure;
import io.github.recurrentkif.graph.operators.Precision;
import io.github.recurrentkif.kernels.RandomKey;
import io.github.recurrentkif.kernels.cpu.CpuKernels;
import io.github.recurrentkif.memory.CacheFolder;
import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.model.AdapterInitialization;
import io.github.recurrentkif.model.LoraConfig;
import io.github.recurrentkif.model.ModelFolder;
import io.github.recurrentkif.model.Trainables;
import io.github.recurrentkif.runtime.OnnxRuntime;
import io.github.recurrentkif.runtime.SessionOptions;
import io.github.recurrentkif.training.Learner;
import io.github.recurrentkif.training.OptimizerSettings;
import io.github.recurrentkif.training.Outcome;
import io.github.recurrentkif.training.PackedObjective;
import io.github.recurrentkif.training.TextModel;
import io.github.recurrentkif.training.Update;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Objects;
import java.util.SequencedSet;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Training over packed rows against training over padded micro-batches: the same numbers. */
class PackedTrainingTest {

  /** A T5 with adapters of queries and values that drop; of short answers it has a graph. */
  private static final String T5 = "t5";

  /** The same, where the usual graph is taken. */
  private static final String DROPPING_LONG_ANSWERS = "t5 with dropout and long answers";

  /** With adapters of keys that drop there is the usual graph alone. */
  private static final String DROPPING_KEYS = "t5 with dropout of keys";

  /** With adapters that drop nothing those of keys may be asked for short answers, too. */
  private static final String SHORT_ANSWERS = "t5 with short answers";

  /** The same, where the usual graph is taken. */
  private static final String LONG_ANSWERS = "t5 with long answers";

  /** With adapters that have nothing to do with the attention to the text. */
  private static final String OTHER_LAYERS = "t5 with adapters of other layers";

  /** A Qwen whose texts have beginnings in common, with adapters that drop nothing. */
  private static final String SHARED_BEGINNINGS = "qwen2 with shared beginnings";

  /** The same with dropout: then no text has a row in common with another. */
  private static final String DROPPING = "qwen2 with shared beginnings and dropout";

  @TempDir private static Path builtIn;

  @BeforeAll
  static void requireOperators() {
    BuiltInModel.extract(builtIn);
    operators();
  }

  /** Losses, norms and weights after each of some updates. */
  private record Trace(List<Outcome> outcomes, List<float[]> weights, List<float[]> magnitudes) {}

  @ParameterizedTest
  @ValueSource(
      strings = {
        T5,
        DROPPING_LONG_ANSWERS,
        DROPPING_KEYS,
        SHORT_ANSWERS,
        LONG_ANSWERS,
        "qwen2",
        "qwen3"
      })
  void dropoutAndPaddingChangeNothing(String name) throws Exception {
    requireAlike(train(name, List.of(), 1, 0), train(name, operators(), 1, 0));
  }

  @ParameterizedTest
  @ValueSource(strings = {SHARED_BEGINNINGS, DROPPING})
  void beginningsInCommonChangeNothing(String name) throws Exception {
    requireAlike(train(name, List.of(), 1, 0), train(name, operators(), 1, 0));
    requireAlike(train(name, List.of(), 1, 0), train(name, operators(), 1, 40));
    assertArrayEquals(
        train(name, operators(), 1, 0).weights().getLast(),
        train(name, operators(), 3, 0).weights().getLast());
  }

  @ParameterizedTest
  @ValueSource(strings = {T5, SHORT_ANSWERS, "qwen3"})
  void severalPassesGiveWhatOneGives(String name) throws Exception {
    // Fewer than the longest sequence has, so that some go through alone.
    Trace divided = train(name, operators(), 1, 8);
    requireAlike(train(name, operators(), 1, 0), divided);
    assertArrayEquals(
        divided.weights().getLast(), train(name, operators(), 3, 8).weights().getLast());
  }

  private static void requireAlike(Trace one, Trace other) {
    for (int i = 0; i < one.outcomes().size(); i++) {
      Outcome expected = one.outcomes().get(i);
      Outcome found = other.outcomes().get(i);
      assertEquals(expected.losses().size(), found.losses().size());
      for (int batch = 0; batch < expected.losses().size(); batch++) {
        assertEquals(expected.losses().get(batch), found.losses().get(batch), 2e-5);
      }
      assertEquals(1, found.gradientNorm() / expected.gradientNorm(), 1e-4);
    }
    float[] expected = one.weights().getLast();
    float[] found = other.weights().getLast();
    double apart = 0;
    double moved = 0;
    float[] first = one.weights().getFirst();
    for (int i = 0; i < expected.length; i++) {
      apart += Math.pow((double) expected[i] - found[i], 2);
      moved += Math.pow((double) expected[i] - first[i], 2);
    }
    assertTrue(moved > 0, "the weights have moved");
    assertTrue(Math.sqrt(apart / moved) < 1e-3, () -> "apart by a share of the way");
  }

  @ParameterizedTest
  @ValueSource(strings = {T5, SHORT_ANSWERS, "qwen3"})
  void anyNumberOfThreadsGivesTheSameBits(String name) throws Exception {
    Trace one = train(name, operators(), 1, 0);
    Trace three = train(name, operators(), 3, 0);
    assertArrayEquals(one.weights().getLast(), three.weights().getLast());
    assertEquals(one.outcomes(), three.outcomes());
  }

  @ParameterizedTest
  @ValueSource(strings = {T5, "qwen3"})
  void bf16CostsALittleAndOnlyWhereItIsAskedFor(String name) throws Exception {
    if (!RequiredOperators.library(CacheFolder.ofThisUser()).fastBf16()) {
      assertThrows(
          InputException.class, () -> train(name, operators(), 1, 0, Precision.BF16_BACKWARD));
      return;
    }
    Outcome exact = train(name, operators(), 1, 0).outcomes().getFirst();
    Outcome backward =
        train(name, operators(), 1, 0, Precision.BF16_BACKWARD).outcomes().getFirst();
    assertEquals(exact.losses(), backward.losses());
    assertNotEquals(exact.gradientNorm(), backward.gradientNorm());
    assertEquals(1, backward.gradientNorm() / exact.gradientNorm(), 0.02);
    Outcome both = train(name, operators(), 1, 0, Precision.BF16).outcomes().getFirst();
    assertNotEquals(exact.losses(), both.losses());
    assertEquals(1, both.meanLoss() / exact.meanLoss(), 0.02);
    assertEquals(1, both.gradientNorm() / exact.gradientNorm(), 0.1);
  }

  @Test
  void bf16IsRefusedOnPaddedGraphs() {
    String message =
        String.valueOf(
            assertThrows(InputException.class, () -> train(T5, List.of(), 1, 0, Precision.BF16))
                .getMessage());
    assertTrue(message.startsWith("precision bf16: only packed graphs have it"), message);
  }

  private static List<Path> operators() {
    return List.of(RequiredOperators.library(CacheFolder.ofThisUser()).path());
  }

  @ParameterizedTest
  @ValueSource(strings = {T5, OTHER_LAYERS, "qwen3"})
  void magnitudesOfAnObservedAdapterDoNotCountPadding(String name) throws Exception {
    Trace packed = train(name, operators(), 1, 0, Precision.FLOAT32, true);
    Trace padded = train(name, List.of(), 1, 0, Precision.FLOAT32, true);
    requireAlike(train(name, operators(), 1, 0), packed);
    assertEquals(4, packed.magnitudes().size());
    for (int i = 0; i < packed.magnitudes().size(); i++) {
      float[] expected = padded.magnitudes().get(i);
      float[] found = packed.magnitudes().get(i);
      for (int j = 0; j < expected.length; j++) {
        assertEquals(
            expected[j], found[j], 1e-3 * expected[j] + 1e-4, "update " + i + ", row " + j);
      }
    }
    // B is zero at first, A is not.
    assertTrue(IntStream.range(0, 4).allMatch(j -> packed.magnitudes().getFirst()[j] > 0));
    assertEquals(0, packed.magnitudes().getFirst()[4]);
    assertTrue(packed.magnitudes().getLast()[4] > 0);
  }

  private static Trace train(String name, List<Path> operators, int threads, int tokensPerPass)
      throws Exception {
    return train(name, operators, threads, tokensPerPass, Precision.FLOAT32);
  }

  private static Trace train(
      String name, List<Path> operators, int threads, int tokensPerPass, Precision precision)
      throws Exception {
    return train(name, operators, threads, tokensPerPass, precision, false);
  }

  private static Trace train(
      String name,
      List<Path> operators,
      int threads,
      int tokensPerPass,
      Precision precision,
      boolean observed)
      throws Exception {
    CacheFolder cache = CacheFolder.ofThisUser();
    SessionOptions options =
        SessionOptions.builder()
            .intraOpThreads(threads)
            .memoryPattern(false)
            .customOperatorLibraries(operators)
            .build();
    LoraConfig lora = new LoraConfig(4, 8, drops(name) ? 0.1 : 0, targets(name), observed);
    Trace trace = new Trace(new ArrayList<>(), new ArrayList<>(), new ArrayList<>());
    try (Backend backend =
            new Backend(
                OnnxRuntime.load(), options, CpuKernels.open(threads).kernels(), cache.path());
        ModelFolder model = ModelFolder.open(folder(name), cache.path());
        TextModel text = backend.open(model, new Trainables.Adapter(lora), precision);
        Learner<Batch> learner =
            new Learner<>(
                text.weights(),
                backend.kernels(),
                text.objective(tokensPerPass),
                OptimizerSettings.reference())) {
      if (!operators.isEmpty()) {
        assertInstanceOf(PackedObjective.class, text.objective());
      }
      AdapterInitialization.initialize(text.weights(), RandomKey.ofSeed(1));
      trace.weights().add(all(text));
      SplittableRandom random = new SplittableRandom(5);
      for (int i = 0; i < 4; i++) {
        // The last update has fewer micro-batches, as at the end of an epoch.
        List<Batch> batches = new ArrayList<>();
        for (int j = 0; j < (i < 3 ? 3 : 1); j++) {
          batches.add(
              isT5(name)
                  ? sequenceToSequence(random, hasLongAnswers(name) ? 66 : 4)
                  : causal(random, sharesBeginnings(name)));
        }
        Update<Batch> update =
            new Update<>(batches, 1f / batches.size(), 0.01, RandomKey.ofSeed(i));
        trace.outcomes().add(learner.update(update));
        trace.weights().add(all(text));
        if (observed) {
          trace.magnitudes().add(all(learner.magnitudes()));
        }
      }
    }
    return trace;
  }

  private static SequencedSet<String> targets(String name) {
    return new LinkedHashSet<>(
        switch (name) {
          case T5, DROPPING_LONG_ANSWERS -> List.of("q", "v");
          case DROPPING_KEYS, SHORT_ANSWERS, LONG_ANSWERS -> List.of("k", "v");
          case OTHER_LAYERS -> List.of("wo");
          default -> List.of("q_proj", "v_proj", "down_proj");
        });
  }

  private static boolean drops(String name) {
    return List.of(T5, DROPPING_LONG_ANSWERS, DROPPING_KEYS, DROPPING).contains(name);
  }

  private static boolean hasLongAnswers(String name) {
    return name.equals(LONG_ANSWERS) || name.equals(DROPPING_LONG_ANSWERS);
  }

  private static boolean sharesBeginnings(String name) {
    return name.startsWith(SHARED_BEGINNINGS);
  }

  private static boolean isT5(String name) {
    return name.startsWith("t5");
  }

  private static Path folder(String name) throws Exception {
    return isT5(name)
        ? builtIn
        : Path.of(
            Objects.requireNonNull(
                    Measure.class.getResource(sharesBeginnings(name) ? "qwen2" : name))
                .toURI());
  }

  private static float[] all(TextModel text) {
    return all(text.weights());
  }

  private static float[] all(ParameterVector vector) {
    float[] all = new float[(int) vector.layout().elements()];
    int at = 0;
    for (ParameterLayout.Tensor tensor : vector.layout().tensors()) {
      float[] values = vector.download(tensor.name());
      System.arraycopy(values, 0, all, at, values.length);
      at += values.length;
    }
    return all;
  }

  /** Two rows of uneven lengths, padded on the right; the first may have no answer. */
  private static Batch sequenceToSequence(SplittableRandom random, int target) {
    int source = 9;
    long[] ids = new long[2 * source];
    long[] mask = new long[2 * source];
    long[] labels = new long[2 * target];
    Arrays.fill(labels, Batch.IGNORED);
    for (int row = 0; row < 2; row++) {
      int length = row == 0 ? source : random.nextInt(1, source);
      for (int i = 0; i < length; i++) {
        ids[row * source + i] = random.nextLong(5, 200);
        mask[row * source + i] = 1;
      }
      int answer = row == 1 ? target : random.nextInt(0, target);
      for (int i = 0; i < answer; i++) {
        labels[row * target + i] = random.nextLong(5, 200);
      }
    }
    return new Batch(2, source, target, ids, mask, labels);
  }

  /**
   * Two rows of uneven lengths, padded on the left; their ends are learned, sometimes of one.
   *
   * @param shared whether they begin alike: all for 9 tokens, some for 20
   */
  private static Batch causal(SplittableRandom random, boolean shared) {
    int length = shared ? 31 : 11;
    long[] ids = new long[2 * length];
    long[] mask = new long[2 * length];
    long[] labels = new long[2 * length];
    Arrays.fill(labels, Batch.IGNORED);
    for (int row = 0; row < 2; row++) {
      boolean teaches = row == 0 || random.nextInt(3) > 0;
      int first = row == 0 ? 0 : random.nextInt(1, length - 4 - (shared ? 20 : 0));
      int alike = first + (shared ? random.nextInt(2) * 11 + 9 : 0);
      for (int i = first; i < length; i++) {
        ids[row * length + i] = i < alike ? 7 + (i - first) % 5 : random.nextLong(5, 39);
        mask[row * length + i] = 1;
        if (teaches && i >= length - 3) {
          labels[row * length + i] = ids[row * length + i];
        }
      }
    }
    return new Batch(2, length, length, ids, mask, labels);
  }
}
