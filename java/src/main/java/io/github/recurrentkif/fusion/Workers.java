package io.github.recurrentkif.fusion;

import io.github.recurrentkif.kernels.FusionKernels;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;

/** A few threads, each with buffers of its own, that share out the runs of a tensor. */
final class Workers implements AutoCloseable {

  /** Elements of a run; a few megabytes for each thread in all. */
  static final long RUN = 1L << 18;

  /** What one thread works with. */
  static final class Worker {

    /** Counts are unsigned int32; taken far before one of them could be full. */
    private static final long MOST_COUNTED = 1L << 31;

    private final Arena arena;
    private final MemorySegment[] buffers;
    private final List<MemorySegment> histograms = new ArrayList<>();
    private long counted;

    private Worker(int buffers, Arena arena) {
      this.arena = arena;
      this.buffers = new MemorySegment[buffers];
      for (int i = 0; i < buffers; i++) {
        this.buffers[i] = arena.allocate(RUN * Float.BYTES, 64);
      }
    }

    /** Room for a run of any type. */
    MemorySegment buffer(int number) {
      return buffers[number];
    }

    /** A histogram of what this worker alone counts of a model, until {@link #takeCounts}. */
    MemorySegment counts(int model) {
      while (histograms.size() <= model) {
        histograms.add(arena.allocate((long) FusionKernels.HISTOGRAM_SIZE * Integer.BYTES, 64));
      }
      return histograms.get(model);
    }

    /** Says that so many scores of each model were counted; whether the counts must be taken. */
    boolean counted(long scores) {
      counted += scores;
      return counted > MOST_COUNTED;
    }

    /** Hands out the histograms, if anything was counted, and begins anew. */
    void takeCounts(Counts counts) {
      for (int model = 0; counted > 0 && model < histograms.size(); model++) {
        counts.of(model, histograms.get(model));
        histograms.get(model).fill((byte) 0);
      }
      counted = 0;
    }
  }

  /** Takes the histogram of a model. */
  @FunctionalInterface
  interface Counts {
    void of(int model, MemorySegment histogram);
  }

  /** One run: elements first to first+count. */
  @FunctionalInterface
  interface Work {
    void on(Worker worker, long first, long count) throws IOException;
  }

  private final Arena arena = Arena.ofShared();
  private final List<Worker> workers = new ArrayList<>();
  private final ExecutorService threads;

  /**
   * @param buffers of each thread
   */
  Workers(int threads, int buffers) {
    for (int i = 0; i < threads; i++) {
      workers.add(new Worker(buffers, arena));
    }
    this.threads = Executors.newFixedThreadPool(threads, Thread.ofPlatform().daemon().factory());
  }

  /** Does the work on all runs of so many elements, in any order, and waits for it. */
  void eachRun(long elements, Work work) throws IOException {
    if (elements <= RUN || workers.size() == 1) {
      for (long first = 0; first < elements; first += RUN) {
        work.on(workers.getFirst(), first, Math.min(RUN, elements - first));
      }
      return;
    }
    AtomicLong next = new AtomicLong();
    AtomicBoolean failed = new AtomicBoolean();
    List<Future<?>> running = new ArrayList<>();
    for (Worker worker : workers) {
      running.add(
          threads.submit(
              () -> {
                try {
                  long first;
                  while (!failed.get() && (first = next.getAndAdd(RUN)) < elements) {
                    work.on(worker, first, Math.min(RUN, elements - first));
                  }
                } catch (IOException | RuntimeException | Error e) {
                  failed.set(true);
                  throw e;
                }
                return null;
              }));
    }
    await(running);
  }

  /** What all workers have counted. */
  void takeCounts(Counts counts) {
    workers.forEach(worker -> worker.takeCounts(counts));
  }

  private static void await(List<Future<?>> running) throws IOException {
    Throwable failure = null;
    for (Future<?> future : running) {
      try {
        future.get();
      } catch (ExecutionException e) {
        failure = failure == null ? e.getCause() : failure;
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new IOException("interrupted", e);
      }
    }
    switch (failure) {
      case null -> {}
      case IOException e -> throw e;
      case RuntimeException e -> throw e;
      case Error e -> throw e;
      default -> throw new IllegalStateException(failure);
    }
  }

  /** Waits until no thread reads or writes any more. */
  @Override
  public void close() {
    threads.close();
    arena.close();
  }
}
