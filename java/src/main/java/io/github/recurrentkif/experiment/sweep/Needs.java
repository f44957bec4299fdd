package io.github.recurrentkif.experiment.sweep;

import io.github.recurrentkif.experiment.RunConfiguration;
import io.github.recurrentkif.experiment.Settings;
import io.github.recurrentkif.graph.operators.Precision;
import io.github.recurrentkif.memory.DataType;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.model.AdapterConfig;
import io.github.recurrentkif.model.ModelFolder;
import io.github.recurrentkif.model.Precisions;
import io.github.recurrentkif.model.Trainables;
import io.github.recurrentkif.model.TrainingArtifacts;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * What a run needs.
 *
 * @param weights bytes of the model, which all processes map together
 * @param memory bytes that a process of it has to itself, at least: reckoned, not measured
 */
public record Needs(Workload workload, long weights, long memory) {

  /** Java, ONNX Runtime and graphs of the smallest model, as measured. */
  private static final long PROCESS = 256L << 20;

  /**
   * Weights, gradient, two moments, importances, base and snapshot, in float32, and a checkpoint.
   */
  private static final long BYTES_PER_PARAMETER = 16 * Float.BYTES;

  /** The same of a run of this method, as measured where one came far enough. */
  public long memory(Speeds speeds, String method) {
    return speeds.knows(method) ? speeds.memory(method).orElse(memory) : memory;
  }

  private record Artifacts(Path model, AdapterConfig adapter, Precision precision, boolean onGpu) {}

  private record Sizes(long weights, long trainable) {}

  /**
   * Opens everything that the runs of a plan read, writes the graphs they will share, and checks
   * that what was begun in the folder are these runs.
   *
   * @param folder need not be there
   * @param cache where graphs and converted weights are kept
   * @throws io.github.recurrentkif.memory.InputException if a model or a task cannot be used, or a
   *     run was begun as another one
   */
  public static Map<PlannedRun, Needs> prepare(SweepPlan plan, SweepFolder folder, Path cache) {
    Workload.Counter counter = new Workload.Counter();
    Map<Artifacts, Sizes> prepared = new HashMap<>();
    Map<PlannedRun, Needs> needs = new LinkedHashMap<>();
    for (PlannedRun run : plan.runs()) {
      Workload workload = counter.of(run.configuration());
      try (ModelFolder model = ModelFolder.open(run.configuration().model(), cache)) {
        RunConfiguration planned = run.configuration().forModel(model.config());
        folder.requireSame(run, planned);
        Artifacts wanted =
            new Artifacts(
                run.configuration().model(),
                planned.adapter(),
                planned.settings().get(Settings.PRECISION),
                run.backend().onGpu());
        Sizes sizes = prepared.computeIfAbsent(wanted, _ -> sizes(model, wanted, cache));
        boolean lean = run.backend().lean().orElse(false);
        needs.put(
            run,
            new Needs(
                workload,
                sizes.weights(),
                PROCESS + (lean ? 0 : sizes.weights()) + BYTES_PER_PARAMETER * sizes.trainable()));
      }
    }
    return needs;
  }

  private static Sizes sizes(ModelFolder model, Artifacts wanted, Path cache) {
    TrainingArtifacts artifacts =
        TrainingArtifacts.prepare(
            model.config(),
            new Trainables.Adapter(wanted.adapter()),
            true,
            Precisions.of(wanted.precision(), wanted.onGpu()),
            cache);
    artifacts.requireWeights(model, wanted.onGpu());
    long bytes =
        artifacts.training().frozen().values().stream()
            .mapToLong(parameter -> DataType.F32.bytes(parameter.shape()))
            .sum();
    ParameterLayout layout = artifacts.layout();
    return new Sizes(bytes, layout.elements());
  }
}
