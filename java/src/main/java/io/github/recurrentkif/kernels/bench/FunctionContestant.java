package io.github.recurrentkif.kernels.bench;

import io.github.recurrentkif.kernels.cpu.RawFunction;
import io.github.recurrentkif.memory.Device;
import io.github.recurrentkif.memory.HostMemory;
import io.github.recurrentkif.memory.InputException;
import java.nio.file.Path;
import java.util.Set;

/** A C function of somebody's own, for one operation. */
public final class FunctionContestant implements Contestant {

  private final Device device = new HostMemory();
  private final RawFunction function;
  private final Operation operation;

  private FunctionContestant(RawFunction function, Operation operation) {
    this.function = function;
    this.operation = operation;
  }

  /**
   * Loads a function with the signature that {@code kif.h} states for the operation.
   *
   * @throws InputException if there is none, or none can be brought for that operation
   */
  public static FunctionContestant load(Path library, String symbol, Operation operation) {
    if (operation == Operation.FUSION
        || operation == Operation.COPY
        || operation == Operation.IMPORTANCE_THRESHOLD) {
      throw new InputException(
          "--library: "
              + operation
              + " is made of other operations; bring one of importance, merge, threshold, adamw,"
              + " adamw-importance, norm");
    }
    return new FunctionContestant(RawFunction.load(library, symbol), operation);
  }

  @Override
  public Device device() {
    return device;
  }

  @Override
  public String name() {
    return "yours: " + function.symbol();
  }

  @Override
  public Set<Operation> operations() {
    return Set.of(operation);
  }

  @Override
  public void run(Operation asked, Vectors v) {
    switch (asked) {
      case IMPORTANCE ->
          function.importance(
              v.segment(Role.WEIGHTS),
              v.segment(Role.GRADIENT),
              v.segment(Role.INNER_SENSITIVITY),
              v.segment(Role.INNER_UNCERTAINTY),
              MethodParameters.CLIP,
              MethodParameters.IMPORTANCE,
              v.n());
      case THRESHOLD ->
          function.threshold(
              v.segment(Role.INNER_SENSITIVITY),
              v.segment(Role.INNER_UNCERTAINTY),
              MethodParameters.SCORE,
              MethodParameters.QUANTILE,
              v.n(),
              v.innerThreshold().segment());
      case MERGE ->
          function.merge(
              v.segment(Role.WEIGHTS),
              v.segment(Role.BASE),
              v.segment(Role.SNAPSHOT),
              v.segment(Role.INNER_SENSITIVITY),
              v.segment(Role.INNER_UNCERTAINTY),
              v.segment(Role.OUTER_SENSITIVITY),
              v.segment(Role.OUTER_UNCERTAINTY),
              v.innerThreshold().segment(),
              v.outerThreshold().segment(),
              MethodParameters.MERGE,
              v.n());
      case ADAMW ->
          function.adamW(
              v.segment(Role.WEIGHTS),
              v.segment(Role.GRADIENT),
              v.segment(Role.FIRST_MOMENT),
              v.segment(Role.SECOND_MOMENT),
              MethodParameters.CLIP,
              MethodParameters.ADAMW,
              v.n());
      case ADAMW_IMPORTANCE ->
          function.adamWWithImportance(
              v.segment(Role.WEIGHTS),
              v.segment(Role.GRADIENT),
              v.segment(Role.FIRST_MOMENT),
              v.segment(Role.SECOND_MOMENT),
              v.segment(Role.INNER_SENSITIVITY),
              v.segment(Role.INNER_UNCERTAINTY),
              MethodParameters.CLIP,
              MethodParameters.ADAMW,
              MethodParameters.IMPORTANCE,
              v.n());
      case NORM -> v.setNorm(function.squaredNorm(v.segment(Role.GRADIENT), v.n()));
      case COPY, FUSION, IMPORTANCE_THRESHOLD ->
          throw new IllegalArgumentException("not of " + operations());
    }
  }

  @Override
  public void await() {}

  @Override
  public void close() {
    function.close();
  }
}
