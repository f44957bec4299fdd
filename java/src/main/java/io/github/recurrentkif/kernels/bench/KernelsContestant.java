package io.github.recurrentkif.kernels.bench;

import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.kernels.Threshold;
import io.github.recurrentkif.memory.Device;
import io.github.recurrentkif.memory.HostMemory;
import java.util.EnumSet;
import java.util.Set;

/** Any implementation of {@link Kernels}, on any device. */
public final class KernelsContestant implements Contestant {

  private final String name;
  private final Kernels kernels;
  private final Set<Operation> operations;
  private final Threshold fetched;

  /** Closes the kernels when it is closed. */
  public KernelsContestant(String name, Kernels kernels) {
    this(name, kernels, EnumSet.allOf(Operation.class));
  }

  /**
   * Closes the kernels when it is closed.
   *
   * @param operations what it takes part in
   */
  public KernelsContestant(String name, Kernels kernels, Set<Operation> operations) {
    this.name = name;
    this.kernels = kernels;
    this.operations = Set.copyOf(operations);
    this.fetched = new Threshold(kernels.device());
  }

  /** A contestant of the same kernels that updates weights and importance one after the other. */
  public Contestant inTwoPasses() {
    return new TwoPasses();
  }

  @Override
  public Device device() {
    return kernels.device();
  }

  @Override
  public String name() {
    return name;
  }

  @Override
  public Set<Operation> operations() {
    return operations;
  }

  @Override
  public void run(Operation operation, Vectors v) {
    switch (operation) {
      case COPY -> kernels.copy(v.get(Role.WEIGHTS), v.get(Role.SNAPSHOT));
      case IMPORTANCE -> importance(v);
      case THRESHOLD -> innerThreshold(v);
      case IMPORTANCE_THRESHOLD -> {
        importance(v);
        innerThreshold(v);
      }
      case MERGE -> merge(v);
      case FUSION ->
          kernels.fuse(
              v.get(Role.WEIGHTS),
              v.get(Role.BASE),
              v.get(Role.SNAPSHOT),
              v.inner(),
              v.outer(),
              MethodParameters.QUANTILE,
              MethodParameters.MERGE);
      case ADAMW -> adamW(v);
      case ADAMW_IMPORTANCE ->
          kernels.adamWWithImportance(
              v.get(Role.WEIGHTS),
              v.get(Role.GRADIENT),
              v.get(Role.FIRST_MOMENT),
              v.get(Role.SECOND_MOMENT),
              MethodParameters.CLIP,
              MethodParameters.ADAMW,
              v.inner().importance(),
              MethodParameters.IMPORTANCE);
      case NORM -> v.setNorm(kernels.squaredNorm(v.get(Role.GRADIENT)));
    }
  }

  private void importance(Vectors v) {
    kernels.importance(
        v.get(Role.WEIGHTS),
        v.get(Role.GRADIENT),
        MethodParameters.CLIP,
        v.inner().importance(),
        MethodParameters.IMPORTANCE);
  }

  private void adamW(Vectors v) {
    kernels.adamW(
        v.get(Role.WEIGHTS),
        v.get(Role.GRADIENT),
        v.get(Role.FIRST_MOMENT),
        v.get(Role.SECOND_MOMENT),
        MethodParameters.CLIP,
        MethodParameters.ADAMW);
  }

  private void innerThreshold(Vectors v) {
    kernels.measure(v.inner(), MethodParameters.MERGE, MethodParameters.QUANTILE);
  }

  private void merge(Vectors v) {
    kernels.merge(
        v.get(Role.WEIGHTS),
        v.get(Role.BASE),
        v.get(Role.SNAPSHOT),
        v.inner(),
        v.outer(),
        MethodParameters.MERGE);
  }

  @Override
  public void await() {
    if (!(kernels.device() instanceof HostMemory)) {
      // Fetching a value waits for all work before.
      fetched.value();
    }
  }

  @Override
  public void close() {
    fetched.close();
    kernels.close();
  }

  /** Closing it leaves the kernels open, which belong to the contestant it was made of. */
  private final class TwoPasses implements Contestant {

    @Override
    public Device device() {
      return kernels.device();
    }

    @Override
    public String name() {
      return name + ", two passes";
    }

    @Override
    public Set<Operation> operations() {
      return Set.of(Operation.ADAMW_IMPORTANCE);
    }

    @Override
    public void run(Operation operation, Vectors vectors) {
      adamW(vectors);
      importance(vectors);
    }

    @Override
    public void await() {
      KernelsContestant.this.await();
    }

    @Override
    public void close() {}
  }
}
