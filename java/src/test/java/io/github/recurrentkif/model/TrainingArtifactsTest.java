package io.github.recurrentkif.model;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TrainingArtifactsTest {

  @TempDir private Path cache;

  @Test
  void severalMayPrepareTheSameAtOnce() throws Exception {
    int writers = 6;
    LlamaConfig config = OnnxCheckerTest.llama("qwen3");
    CountDownLatch ready = new CountDownLatch(writers);
    List<Path> folders = new ArrayList<>();
    try (ExecutorService threads = Executors.newFixedThreadPool(writers)) {
      List<Future<Path>> results = new ArrayList<>();
      for (int i = 0; i < writers; i++) {
        results.add(
            threads.submit(
                () -> {
                  ready.countDown();
                  ready.await();
                  return TrainingArtifacts.prepare(config, new Trainables.Nothing(), false, cache)
                      .folder();
                }));
      }
      for (Future<Path> result : results) {
        folders.add(result.get());
      }
    }
    assertEquals(1, folders.stream().distinct().count());
    try (var left = Files.list(cache.resolve("artifacts"))) {
      assertEquals(List.of(folders.getFirst()), left.toList(), "nothing unfinished is left");
    }
  }
}
