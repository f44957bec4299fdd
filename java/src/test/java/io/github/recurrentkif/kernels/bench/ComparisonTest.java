package io.github.recurrentkif.kernels.bench;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.kernels.bench.Outcome.Entry;
import io.github.recurrentkif.kernels.cpu.CpuKernels.Settings;
import io.github.recurrentkif.kernels.reference.ReferenceKernels;
import io.github.recurrentkif.memory.Device;
import io.github.recurrentkif.memory.InputException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.EnumSource.Mode;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;

class ComparisonTest {

  private static final Comparison SHORT = new Comparison(2, 1 << 16);

  @TempDir private Path folder;

  /** The specification with a fault behind every run. */
  private static final class Faulty implements Contestant {
    private final KernelsContestant right = new KernelsContestant("", new ReferenceKernels());
    private final Consumer<Vectors> fault;

    Faulty(Consumer<Vectors> fault) {
      this.fault = fault;
    }

    @Override
    public Device device() {
      return right.device();
    }

    @Override
    public String name() {
      return "faulty";
    }

    @Override
    public Set<Operation> operations() {
      return EnumSet.allOf(Operation.class);
    }

    @Override
    public void run(Operation operation, Vectors vectors) {
      right.run(operation, vectors);
      fault.accept(vectors);
    }

    @Override
    public void await() {}

    @Override
    public void close() {
      right.close();
    }
  }

  private static Entry faulty(Operation operation, long n, Consumer<Vectors> fault) {
    KernelsContestant java = new KernelsContestant("Java", new ReferenceKernels());
    try (Field field = new Field(List.of(java), List.of(java)).with(new Faulty(fault))) {
      Outcome outcome = SHORT.run(field, operation, n, Values.HIGH);
      assertEquals(outcome.entries().getLast().fault().isEmpty(), outcome.agrees());
      return outcome.entries().getLast();
    }
  }

  private static void add(Vectors vectors, Role role, long index, float term) {
    if (index < vectors.get(role).layout().length()) {
      float value = vectors.segment(role).getAtIndex(JAVA_FLOAT, index);
      vectors.segment(role).setAtIndex(JAVA_FLOAT, index, value + term);
    }
  }

  @ParameterizedTest
  @EnumSource(mode = Mode.EXCLUDE, names = "COPY")
  void all_contestants_of_this_processor_agree_and_are_measured(Operation operation) {
    try (Field field = Field.cpu(2, Settings.ofProcess())) {
      Outcome outcome = SHORT.run(field, operation, 3000, Values.TIES);
      assertTrue(outcome.agrees(), () -> outcome.entries().toString());
      Set<String> names = new HashSet<>();
      for (Entry entry : outcome.entries()) {
        assertTrue(names.add(entry.contestant()), entry.contestant());
        assertTrue(entry.times().orElseThrow().cold().median() > 0, entry.contestant());
        assertTrue(entry.times().orElseThrow().warm().median() > 0, entry.contestant());
      }
      assertEquals(operation.bytesPerElement() * 3000L, outcome.bytes());
      assertEquals(outcome.bytes() / 8 * 8, outcome.copy().bytes());
      assertTrue(outcome.copy().times().cold().median() > 0);
    }
  }

  @Test
  void one_wrong_bit_is_reported_and_not_measured() {
    Entry entry =
        faulty(
            Operation.IMPORTANCE,
            100_003,
            vectors -> add(vectors, Role.INNER_UNCERTAINTY, 100_002, 1e-9f));
    assertTrue(entry.fault().orElseThrow().startsWith("n = 100003: INNER_UNCERTAINTY[100002] is "));
    assertTrue(entry.times().isEmpty());
  }

  @Test
  void an_element_behind_the_end_is_noticed() {
    Entry entry =
        faulty(Operation.MERGE, 100, vectors -> add(vectors, Role.WEIGHTS, vectors.n(), 1));
    assertEquals("n = 1: WEIGHTS is written 1 elements past its end", entry.fault().orElseThrow());
  }

  @Test
  void an_array_that_is_only_read_has_to_stay_as_it_is() {
    Entry entry =
        faulty(Operation.MERGE, 100, vectors -> add(vectors, Role.OUTER_UNCERTAINTY, 0, 1));
    assertTrue(entry.fault().orElseThrow().contains("OUTER_UNCERTAINTY[0] is 1.0"));
  }

  @Test
  void a_wrong_threshold_is_noticed() {
    Entry entry =
        faulty(
            Operation.THRESHOLD,
            100,
            vectors -> vectors.innerThreshold().segment().set(JAVA_FLOAT, 0, 1));
    assertTrue(entry.fault().orElseThrow().contains("the threshold is 1.0, expected NaN"));
  }

  @Test
  void a_wrong_norm_is_noticed() {
    Entry entry = faulty(Operation.NORM, 100, vectors -> vectors.setNorm(-1));
    assertTrue(entry.fault().orElseThrow().contains("the norm is -1.0, expected 0.0"));
  }

  @Test
  void nan_in_the_place_of_a_number_is_noticed() {
    Entry entry = faulty(Operation.ADAMW, 100, vectors -> add(vectors, Role.WEIGHTS, 0, Float.NaN));
    assertTrue(entry.fault().orElseThrow().contains("WEIGHTS[0] is NaN, expected "));
  }

  @ParameterizedTest
  @EnumSource
  void the_same_seed_gives_the_same_numbers(Values values) {
    Device memory = new io.github.recurrentkif.memory.HostMemory();
    try (Vectors a = new Vectors(EnumSet.allOf(Role.class), 1000, memory);
        Vectors b = new Vectors(EnumSet.allOf(Role.class), 1000, memory)) {
      a.fill(values, 5);
      b.fill(values, 5);
      Set<Float> different = new HashSet<>();
      for (Role role : Role.values()) {
        assertEquals(-1, a.segment(role).mismatch(b.segment(role)), role.toString());
        assertFalse(a.segment(role).mismatch(a.segment(Role.WEIGHTS)) < 0 && role != Role.WEIGHTS);
      }
      for (int i = 0; i < 1000; i++) {
        different.add(a.segment(Role.INNER_SENSITIVITY).getAtIndex(JAVA_FLOAT, i));
      }
      switch (values) {
        case HIGH -> assertTrue(different.size() > 900, () -> "" + different.size());
        case LOW -> assertEquals(16, different.size());
        case TIES -> assertEquals(2, different.size());
      }
    }
  }

  @Test
  void a_sample_gives_median_quartiles_and_spread() {
    Sample sample = Sample.of(new double[] {40, 10, 30, 20, 50});
    assertEquals(new Sample(30, 20, 40, 10), sample);
    assertEquals(20.0 / 30, sample.spread());
    assertEquals(2, sample.gigabytesPerSecond(60));
    assertEquals(15, Sample.of(new double[] {20, 10}).median());
    assertThrows(IllegalArgumentException.class, () -> Sample.of(new double[0]));
  }

  @Test
  void a_report_holds_the_machine_and_every_outcome() throws Exception {
    Path file = folder.resolve("report.json");
    KernelsContestant java = new KernelsContestant("Java", new ReferenceKernels());
    try (Field field =
        new Field(List.of(java), List.of(java))
            .with(new Faulty(vectors -> add(vectors, Role.WEIGHTS, 0, 1)))) {
      Outcome outcome = SHORT.run(field, Operation.MERGE, 20, Values.LOW);
      new BenchReport(Machine.here(), 2, List.of(outcome)).write(file);
    }
    JsonNode json = new ObjectMapper().readTree(Files.readString(file));
    assertEquals(Runtime.version().toString(), json.at("/machine/java").asString());
    assertTrue(json.at("/machine/cores").asInt() > 0);
    assertEquals("merge", json.at("/results/0/operation").asString());
    assertEquals(720, json.at("/results/0/bytes").asInt());
    JsonNode good = json.at("/results/0/contestants/0");
    assertTrue(good.get("agrees").asBoolean());
    assertTrue(good.at("/cold/share_of_copy").asDouble() > 0);
    JsonNode bad = json.at("/results/0/contestants/1");
    assertFalse(bad.get("agrees").asBoolean());
    assertTrue(bad.get("fault").asString().contains("WEIGHTS[0]"));
    assertFalse(bad.has("cold"));
  }

  @Test
  void a_fusion_cannot_be_brought_as_one_function() {
    InputException error =
        assertThrows(
            InputException.class,
            () -> FunctionContestant.load(folder.resolve("x.so"), "f", Operation.FUSION));
    assertTrue(String.valueOf(error.getMessage()).contains("made of other operations"));
  }
}
