package io.github.recurrentkif.continual;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.continual.SmallStream.Inputs;
import io.github.recurrentkif.continual.SmallStream.Pull;
import io.github.recurrentkif.kernels.ImportanceRule;
import io.github.recurrentkif.kernels.ImportanceRule.Formula;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.model.LoraModule;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Locale;
import java.util.function.Function;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;

/** Every method on the stream of {@link SmallStream}, with the constants of the recorded traces. */
class MethodsTest {

  private static final int RANK = 2;
  private static final ImportanceRule RULE = new ImportanceRule(Formula.FIRST_ORDER, 0.85, 0.85);

  enum Method {
    SEQUENTIAL_LORA(RANK, _ -> new SequentialLora<>()),
    EWC(RANK, in -> new Ewc<>(new Ewc.Settings(20, 0.9, 0), in.layout(), in.kernels())),
    INCREMENTAL_LORA(
        RANK * SmallStream.TASKS,
        in -> new IncrementalLora<>(SmallStream.TASKS, in.layout(), in.kernels())),
    O_LORA(
        RANK * SmallStream.TASKS,
        in ->
            new OLora<>(
                new OLora.Settings(0.5, 0.1), SmallStream.TASKS, in.layout(), in.kernels())),
    TASL(
        RANK, in -> new Tasl<>(new Tasl.Settings(RULE, 0.5, 0.7, 0.25), in.layout(), in.kernels())),
    MIGU(RANK, in -> new Migu<>(0.7, in.layout(), in.kernels())),
    VR_MCL(RANK, in -> new VrMcl<>(new VrMcl.Settings(0.1, 0.05, 0.5), in.layout(), in.kernels())),
    PER_TASK(
        RANK,
        in ->
            new PerTask<>(
                SmallStream.TASKS, (task, w) -> fill(w, task), in.layout(), in.kernels())),
    RECURRENT_KIF(
        RANK, in -> new RecurrentKif<>(QuadraticTrace.FAITHFUL, in.layout(), in.kernels()));

    final int rank;

    @SuppressWarnings("ImmutableEnumChecker") // Lambdas that hold nothing.
    final Function<Inputs, ContinualMethod<Pull>> maker;

    Method(int rank, Function<Inputs, ContinualMethod<Pull>> maker) {
      this.rank = rank;
      this.maker = maker;
    }

    SmallStream stream() {
      return new SmallStream(rank, maker);
    }

    String text() {
      return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
  }

  private static void fill(ParameterVector weights, int task) {
    for (var tensor : weights.layout().tensors()) {
      float[] values = new float[(int) tensor.elements()];
      Arrays.fill(values, 0.01f * (task + 1));
      weights.upload(tensor.name(), MemorySegment.ofArray(values));
    }
  }

  @ParameterizedTest
  @EnumSource(
      mode = EnumSource.Mode.EXCLUDE,
      names = {"PER_TASK", "RECURRENT_KIF"})
  void computes_what_the_same_rule_in_PyTorch_does(Method method) throws IOException {
    JsonNode trace;
    try (InputStream file = MethodsTest.class.getResourceAsStream("method-traces.json")) {
      assertNotNull(file);
      trace = new ObjectMapper().readTree(file).path("traces").path(method.text());
    }
    try (SmallStream stream = method.stream()) {
      for (int task = 0; task < SmallStream.TASKS; task++) {
        stream.learn(task);
        JsonNode expected = trace.path("weights").path(task);
        float[] weights = stream.weights();
        assertEquals(expected.size(), weights.length);
        for (int i = 0; i < weights.length; i++) {
          assertEquals(
              expected.get(i).doubleValue(), weights[i], 1e-6, "task " + task + ", element " + i);
        }
      }
      assertEquals(trace.path("norms").size(), stream.norms().size());
      for (int i = 0; i < stream.norms().size(); i++) {
        double norm = trace.path("norms").get(i).doubleValue();
        assertEquals(norm, stream.norms().get(i), 2e-6 * norm, "norm " + i);
      }
    }
  }

  @ParameterizedTest
  @EnumSource
  void goes_on_to_the_same_bits_from_wherever_it_was_stopped(Method method) {
    try (SmallStream whole = method.stream()) {
      for (int task = 0; task < SmallStream.TASKS; task++) {
        whole.learn(task);
      }
      for (int task = 0; task < SmallStream.TASKS; task++) {
        for (long stop = 1; stop <= SmallStream.UPDATES; stop++) {
          try (SmallStream first = method.stream();
              SmallStream second = method.stream()) {
            for (int before = 0; before < task; before++) {
              first.learn(before);
            }
            first.method().beginTask(task, first.learner());
            first.learn(task, 0, stop);
            second.restore(first.state());
            second.learn(task, stop, SmallStream.UPDATES);
            for (int after = task + 1; after < SmallStream.TASKS; after++) {
              second.learn(after);
            }
            String where = "stopped after update " + stop + " of task " + task;
            assertArrayEquals(whole.weights(), second.weights(), where);
            assertEquals(whole.state().counters(), second.state().counters(), where);
            whole
                .state()
                .vectors()
                .forEach(
                    (name, values) ->
                        assertArrayEquals(
                            values, second.state().vectors().get(name), where + ": " + name));
          }
        }
      }
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"INCREMENTAL_LORA", "O_LORA"})
  void moves_no_component_but_those_of_the_task(Method method) {
    try (SmallStream stream = method.stream()) {
      for (int task = 0; task < SmallStream.TASKS; task++) {
        float[] before = stream.weights();
        stream.learn(task);
        float[] after = stream.weights();
        int at = 0;
        for (LoraModule module : LoraModule.of(stream.learner().weights().layout())) {
          for (int i = 0; i < module.a().elements(); i++, at++) {
            boolean own = i / module.inputs() / RANK == task;
            assertEquals(own, before[at] != after[at], module.name() + " A " + i);
          }
          for (int i = 0; i < module.b().elements(); i++, at++) {
            boolean own = i % module.rank() / RANK == task;
            assertEquals(own, before[at] != after[at], module.name() + " B " + i);
          }
        }
      }
    }
  }

  @Test
  void o_lora_leaves_a_new_adapter_more_orthogonal_to_the_old_than_without_its_penalty() {
    assertTrue(overlap(Method.O_LORA) < 0.8 * overlap(Method.INCREMENTAL_LORA));
  }

  /** The sum of |A_0 A_1^T| after two tasks. */
  private static double overlap(Method method) {
    double overlap = 0;
    try (SmallStream stream = method.stream()) {
      stream.learn(0);
      stream.learn(1);
      for (LoraModule module : LoraModule.of(stream.learner().weights().layout())) {
        float[] a = stream.learner().weights().download(module.a().name());
        for (int earlier = 0; earlier < RANK; earlier++) {
          for (int k = RANK; k < 2 * RANK; k++) {
            double product = 0;
            for (int j = 0; j < module.inputs(); j++) {
              product += a[earlier * module.inputs() + j] * a[k * module.inputs() + j];
            }
            overlap += Math.abs(product);
          }
        }
      }
    }
    return overlap;
  }

  @Test
  void per_task_answers_each_task_with_the_adapter_that_learned_it() {
    try (SmallStream stream = Method.PER_TASK.stream()) {
      stream.learn(0);
      float[] first = stream.weights();
      stream.learn(1);
      float[] second = stream.weights();
      stream.method().beforeQuestions(0, stream.learner());
      assertArrayEquals(first, stream.weights());
      stream.method().beforeQuestions(1, stream.learner());
      assertArrayEquals(second, stream.weights());
      // Not learned yet: the backbone alone.
      stream.method().beforeQuestions(2, stream.learner());
      assertArrayEquals(new float[first.length], stream.weights());
    }
  }

  @Test
  void ewc_with_no_strength_is_sequential_learning() {
    try (SmallStream plain = Method.SEQUENTIAL_LORA.stream();
        SmallStream ewc =
            new SmallStream(
                RANK, in -> new Ewc<>(new Ewc.Settings(0, 1, 0), in.layout(), in.kernels()))) {
      for (int task = 0; task < SmallStream.TASKS; task++) {
        plain.learn(task);
        ewc.learn(task);
      }
      assertArrayEquals(plain.weights(), ewc.weights());
    }
  }
}
