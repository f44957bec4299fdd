package io.github.recurrentkif.engine;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.SmallModel;
import io.github.recurrentkif.continual.ContinualMethod;
import io.github.recurrentkif.continual.LearningEvent;
import io.github.recurrentkif.continual.Observer;
import io.github.recurrentkif.continual.RecurrentKif;
import io.github.recurrentkif.continual.RecurrentKifSettings;
import io.github.recurrentkif.data.Batch;
import io.github.recurrentkif.data.Task;
import io.github.recurrentkif.data.TaskFiles;
import io.github.recurrentkif.data.TaskReader;
import io.github.recurrentkif.memory.InputException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class EngineTest {

  private static final Map<String, String> SETTINGS =
      Map.of("epochs", "2", "maximum-new-tokens", "4", "memory-percent", "20");

  @TempDir private Path folder;
  private Path model;
  private List<Task> tasks;

  @BeforeEach
  void write() {
    model = SmallModel.writeModel(folder.resolve("model"));
    TaskReader reader =
        new TaskReader(new TaskFiles(SmallModel.writeTasks(folder.resolve("data"))));
    tasks = List.of(reader.read("alpha"), reader.read("beta"));
  }

  private float[] learned(Runnable begin, Observer observer) {
    try (Engine engine = Engine.open(1);
        LanguageModel text = engine.model(model, SETTINGS);
        ContinualMethod<Batch> method =
            new RecurrentKif<>(
                RecurrentKifSettings.reference(), text.weights().layout(), engine.kernels())) {
      begin.run();
      text.learn(tasks, method, observer);
      text.saveAdapter(folder.resolve("adapter-" + Thread.currentThread().threadId()));
      return text.weights().segment().toArray(ValueLayout.JAVA_FLOAT);
    }
  }

  @Test
  void engines_in_one_process_do_not_know_of_each_other() throws Exception {
    float[] alone = learned(() -> {}, Observer.none());
    CountDownLatch both = new CountDownLatch(2);
    Runnable meet =
        () -> {
          both.countDown();
          try {
            both.await();
          } catch (InterruptedException e) {
            throw new IllegalStateException(e);
          }
        };
    try (ExecutorService threads = Executors.newFixedThreadPool(2)) {
      Future<float[]> first = threads.submit(() -> learned(meet, Observer.none()));
      Future<float[]> second = threads.submit(() -> learned(meet, Observer.none()));
      assertArrayEquals(alone, first.get());
      assertArrayEquals(alone, second.get());
    }
  }

  @Test
  void an_observer_stops_it_and_an_adapter_comes_back_as_it_was_saved() {
    Observer stopping =
        new Observer() {
          @Override
          public void on(LearningEvent event) {}

          @Override
          public boolean stopsAfter(long completed) {
            return completed == 3;
          }
        };
    float[] stopped = learned(() -> {}, stopping);
    Path adapter = folder.resolve("adapter-" + Thread.currentThread().threadId());
    try (Engine engine = Engine.open(1);
        LanguageModel text = engine.model(model, adapter, SETTINGS)) {
      assertArrayEquals(stopped, text.weights().segment().toArray(ValueLayout.JAVA_FLOAT));
      double accuracy = text.accuracy(tasks.getFirst().evaluation());
      assertTrue(accuracy >= 0 && accuracy <= 1);
    }
  }

  @Test
  void what_cannot_be_used_is_said_and_nothing_stays_open() {
    try (Engine engine = Engine.open(1)) {
      InputException unknown =
          assertThrows(InputException.class, () -> engine.model(model, Map.of("epoch", "2")));
      assertTrue(String.valueOf(unknown.getMessage()).contains("epochs"), unknown::getMessage);
      Path nowhere = folder.resolve("nowhere");
      assertThrows(InputException.class, () -> engine.model(nowhere, SETTINGS));
      assertThrows(InputException.class, () -> engine.model(model, nowhere, SETTINGS));
      try (LanguageModel text = engine.model(model, SETTINGS)) {
        assertEquals(
            tasks.getFirst().evaluation().size(),
            text.answers(tasks.getFirst().evaluation()).size());
      }
    }
  }
}
