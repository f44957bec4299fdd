package io.github.recurrentkif.experiment.verification;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;

import io.github.recurrentkif.continual.LearningEvent;
import io.github.recurrentkif.continual.Observer;
import io.github.recurrentkif.continual.RecurrentKif;
import io.github.recurrentkif.continual.RecurrentKifSettings;
import io.github.recurrentkif.data.Batch;
import io.github.recurrentkif.experiment.Backend;
import io.github.recurrentkif.kernels.Importance;
import io.github.recurrentkif.kernels.ImportanceRule;
import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.kernels.MergeRule;
import io.github.recurrentkif.kernels.Side;
import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.memory.SafetensorsFile;
import io.github.recurrentkif.model.LoraConfig;
import io.github.recurrentkif.model.ModelFolder;
import io.github.recurrentkif.model.Trainables;
import io.github.recurrentkif.training.Learner;
import io.github.recurrentkif.training.OptimizerSettings;
import io.github.recurrentkif.training.Outcome;
import io.github.recurrentkif.training.TextModel;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.SequencedSet;
import java.util.function.IntPredicate;
import org.jspecify.annotations.Nullable;

/**
 * Replays a recorded run of the authors' trainer through our own learner, method and kernels, and
 * measures how far the two come apart.
 *
 * <p>Freely, the recorded weights are never looked at; with {@code resync} the run goes on from the
 * recorded weights after each fusion and each task, so that deviations do not add up.
 */
public final class TrajectoryCheck {

  /** Near a threshold, within this share of it, an entry may fall to either side. */
  private static final double NEAR_THRESHOLD = 0.01;

  private final RecordedTrajectory trajectory;
  private final boolean resync;
  private final Backend backend;
  private final Kernels kernels;

  private final Measure.Gatherer misplaced =
      new Measure.Gatherer("steps in another order than the settings ask for", 0);
  private final Measure.Gatherer losses;
  private final Measure.Gatherer gradientNorms;
  private final Measure.Gatherer learningRates =
      new Measure.Gatherer("learning rate, relative", 1e-12);
  private final Measure.Gatherer fusedWeights;
  private final Measure.Gatherer importances;
  private final Measure.Gatherer thresholds;
  private final Measure.Gatherer masks;
  private final Measure.Gatherer farFromThreshold =
      new Measure.Gatherer("mask entries that differ away from the threshold", 0);
  private final Measure.Gatherer taskWeights;
  private final Measure.Gatherer answers = new Measure.Gatherer("answers that differ", 0);

  private TrajectoryCheck(RecordedTrajectory trajectory, boolean resync, Backend backend) {
    this.trajectory = trajectory;
    this.resync = resync;
    this.backend = backend;
    this.kernels = backend.kernels();
    // Packed rows round elsewhere. In a free replay a score may then fall on the other side of its
    // threshold, and from there on the replay is another run, if a near one.
    double free = backend.graph().equals("padded") ? 1e-4 : 1e-3;
    double weights = resync ? 1e-5 : free;
    this.losses = new Measure.Gatherer("micro-batch loss, absolute", weights);
    this.gradientNorms = new Measure.Gatherer("gradient norm, relative", resync ? 1e-4 : 1e-3);
    this.fusedWeights =
        new Measure.Gatherer("weights after a fusion, absolute or relative L2", weights);
    this.importances =
        new Measure.Gatherer("importance, over its largest entry", resync ? 1e-4 : 1e-2);
    this.thresholds = new Measure.Gatherer("threshold, relative", resync ? 1e-4 : 1e-2);
    this.masks = new Measure.Gatherer("mask entries that differ, share of a fusion's", 1e-3);
    this.taskWeights =
        new Measure.Gatherer("weights after a task, absolute or relative L2", weights);
  }

  /**
   * Replays the recording in a folder.
   *
   * @return one measure for each quantity compared
   */
  public static List<Measure> run(Path folder, boolean resync, Backend backend) {
    TrajectoryCheck check = new TrajectoryCheck(RecordedTrajectory.read(folder), resync, backend);
    check.replay();
    return check.measures();
  }

  private List<Measure> measures() {
    List<Measure> measures = new ArrayList<>();
    for (Measure.Gatherer gatherer :
        List.of(
            misplaced,
            losses,
            gradientNorms,
            learningRates,
            importances,
            thresholds,
            masks,
            farFromThreshold,
            fusedWeights,
            taskWeights,
            answers)) {
      measures.add(gatherer.measure());
    }
    return measures;
  }

  private void replay() {
    RecordedTrajectory.Constants first = trajectory.tasks().getFirst().constants();
    LoraConfig lora = new LoraConfig(first.rank(), first.alpha(), 0, targets());
    try (ModelFolder model =
            ModelFolder.open(trajectory.folder().resolve("model"), backend.cache());
        TextModel text = backend.openWithoutDropout(model, new Trainables.Adapter(lora))) {
      load("lora-init.safetensors", text.weights());
      for (RecordedTrajectory.RecordedTask task : trajectory.tasks()) {
        Optional<String> stranger = task.firstMisplaced();
        if (stranger.isPresent()) {
          misplaced.add(1, task.name() + ", " + stranger.get());
          return;
        }
        learn(task, text);
        compareTask(task, text.weights());
        compareAnswers(task, text);
      }
    } catch (IOException e) {
      throw InputException.unreadable(trajectory.folder(), e);
    }
  }

  /** The last parts of the names of the modules that carry an adapter. */
  private SequencedSet<String> targets() {
    SequencedSet<String> targets = new LinkedHashSet<>();
    for (RecordedTrajectory.FlatTensor tensor : trajectory.layout()) {
      String module = tensor.name().replaceFirst("\\.lora_[AB]$", "");
      targets.add(module.substring(module.lastIndexOf('.') + 1));
    }
    return targets;
  }

  private void learn(RecordedTrajectory.RecordedTask task, TextModel text) throws IOException {
    RecordedTrajectory.Constants c = task.constants();
    ImportanceRule rule =
        new ImportanceRule(ImportanceRule.Formula.FIRST_ORDER, c.beta1(), c.beta2());
    RecurrentKifSettings settings =
        new RecurrentKifSettings(
            c.cycleLength(),
            c.outerSteps(),
            c.quantile(),
            rule,
            rule,
            MergeRule.reference().withResets(c.resetInner(), c.resetOuter()),
            0,
            RecurrentKifSettings.OuterLoop.SHARED_OPTIMIZER);
    double[] adam = c.adam();
    OptimizerSettings optimizer =
        new OptimizerSettings(adam[0], adam[1], adam[2], adam[3], (float) c.clip());
    RecordedPlan plan = new RecordedPlan(trajectory, task);
    try (Learner<Batch> learner =
            new Learner<>(text.weights(), kernels, text.objective(), optimizer);
        RecurrentKif<Batch> method =
            new RecurrentKif<>(settings, text.weights().layout(), kernels);
        Comparison comparison = new Comparison(task, plan)) {
      method.beginTask(0, learner);
      method.learn(plan, 0, learner, comparison);
    }
  }

  /** Compares every event of one task with what was recorded. */
  private final class Comparison implements Observer, AutoCloseable {

    private final RecordedTrajectory.RecordedTask task;
    private final RecordedPlan plan;
    private final List<RecordedTrajectory.Fusion> fusions;
    private final Arena arena = Arena.ofConfined();
    private final @Nullable SafetensorsFile recorded;
    private final BitSet undecided = new BitSet();
    private int fusion;

    Comparison(RecordedTrajectory.RecordedTask task, RecordedPlan plan) throws IOException {
      this.task = task;
      this.plan = plan;
      this.fusions =
          task.events().stream()
              .filter(RecordedTrajectory.Fusion.class::isInstance)
              .map(RecordedTrajectory.Fusion.class::cast)
              .toList();
      this.recorded =
          fusions.isEmpty()
              ? null
              : SafetensorsFile.open(
                  trajectory.folder().resolve("fusions-task" + task.index() + ".safetensors"));
    }

    @Override
    public void on(LearningEvent event) {
      switch (event) {
        case LearningEvent.AfterInner e -> {
          RecordedTrajectory.Inner expected = plan.recordedInner(e.completed() - 1);
          String place = task.name() + ", update " + e.completed();
          compare(
              expected.microBatches(),
              expected.gradientNorm(),
              expected.learningRate(),
              e.outcome(),
              place);
        }
        case LearningEvent.AfterOuter e -> {
          RecordedTrajectory.Outer expected = plan.recordedOuter(e.completed(), e.repeat());
          compare(
              List.of(expected.microBatch()),
              expected.gradientNorm(),
              expected.learningRate(),
              e.outcome(),
              task.name() + ", update " + e.completed() + ", outer step " + (e.repeat() + 1));
        }
        case LearningEvent.BeforeMerge e -> beforeMerge(e);
        case LearningEvent.AfterFusion e -> afterFusion(e);
      }
    }

    private void compare(
        List<RecordedTrajectory.MicroBatch> microBatches,
        double norm,
        double rate,
        Outcome outcome,
        String place) {
      for (int i = 0; i < microBatches.size(); i++) {
        losses.addAbsolute(microBatches.get(i).loss(), outcome.losses().get(i), place);
      }
      gradientNorms.addRelative(norm, outcome.gradientNorm(), place);
      if (rate != outcome.learningRate()) {
        learningRates.addRelative(rate, outcome.learningRate(), place);
      }
    }

    private void beforeMerge(LearningEvent.BeforeMerge e) {
      if (fusion >= fusions.size()) {
        throw new InputException(
            trajectory.folder()
                + ": task "
                + task.name()
                + " fuses more often than recorded, after update "
                + e.completed());
      }
      String place = place(e.completed());
      RecordedTrajectory.Fusion expected = fusions.get(fusion);
      compareSide(e.inner(), "in", expected.innerThreshold(), place);
      compareSide(e.outer(), "out", expected.outerThreshold(), place);
      compareMasks(e, place);
    }

    private void compareSide(Side side, String name, double threshold, String place) {
      importances.add(
          deviationOverLargest(side.importance().sensitivity(), vector("I_" + name)),
          place + ", I " + name);
      importances.add(
          deviationOverLargest(side.importance().uncertainty(), vector("U_" + name)),
          place + ", U " + name);
      thresholds.addRelative(threshold, side.threshold().value(), place);
    }

    private void compareMasks(LearningEvent.BeforeMerge e, String place) {
      MemorySegment mask = bytes("mask");
      float innerThreshold = e.inner().threshold().value();
      float outerThreshold = e.outer().threshold().value();
      undecided.clear();
      long differing = 0;
      long total = 0;
      for (RecordedTrajectory.FlatTensor tensor : trajectory.layout()) {
        float[] inner = scores(e.inner().importance(), tensor);
        float[] outer = scores(e.outer().importance(), tensor);
        for (int i = 0; i < tensor.size(); i++) {
          int expected = mask.get(JAVA_BYTE, tensor.offset() + i);
          boolean innerDiffers = (expected & 1) != 0 != inner[i] > innerThreshold;
          boolean outerDiffers = (expected & 2) != 0 != outer[i] > outerThreshold;
          if (innerDiffers || outerDiffers) {
            differing++;
            double distance =
                Math.max(
                    innerDiffers ? distance(inner[i], innerThreshold) : 0,
                    outerDiffers ? distance(outer[i], outerThreshold) : 0);
            boolean far = !(distance <= NEAR_THRESHOLD);
            farFromThreshold.add(far ? 1 : 0, place + ", " + tensor.name());
            undecided.set(tensor.offset() + i, !far);
          }
        }
        total += tensor.size();
      }
      masks.add((double) differing / total, place);
    }

    private void afterFusion(LearningEvent.AfterFusion e) {
      MemorySegment fused = vector("fused");
      // An entry that may fall to either side of a threshold merges to either of two values.
      fusedWeights.add(weightDeviation(e.weights(), fused, undecided::get), place(e.completed()));
      if (resync) {
        upload(fused, e.weights());
        upload(fused, e.base());
      }
      fusion++;
    }

    private String place(long completed) {
      return task.name() + ", fusion " + (fusion + 1) + " after update " + completed;
    }

    private MemorySegment vector(String name) {
      return file().float32(prefixed(name), arena);
    }

    private MemorySegment bytes(String name) {
      return file().tensor(prefixed(name)).bytes();
    }

    private String prefixed(String name) {
      return "f%02d.%s".formatted(fusion, name);
    }

    private SafetensorsFile file() {
      if (recorded == null) {
        throw new InputException(
            trajectory.folder() + ": no fusion is recorded for task " + task.name());
      }
      return recorded;
    }

    @Override
    public void close() {
      if (recorded != null) {
        recorded.close();
      }
      arena.close();
    }
  }

  private static double distance(float score, float threshold) {
    return Math.abs(score - threshold) / threshold;
  }

  private static float[] scores(Importance importance, RecordedTrajectory.FlatTensor tensor) {
    float[] sensitivity = importance.sensitivity().download(ours(tensor));
    float[] uncertainty = importance.uncertainty().download(ours(tensor));
    for (int i = 0; i < sensitivity.length; i++) {
      sensitivity[i] *= uncertainty[i];
    }
    return sensitivity;
  }

  /** The recorded name has no {@code .weight}. */
  private static String ours(RecordedTrajectory.FlatTensor tensor) {
    return tensor.name() + ".weight";
  }

  private double largestDeviation(ParameterVector found, MemorySegment expected) {
    double largest = 0;
    for (RecordedTrajectory.FlatTensor tensor : trajectory.layout()) {
      float[] values = found.download(ours(tensor));
      for (int i = 0; i < values.length; i++) {
        // Math.max keeps NaN.
        largest = Math.max(largest, Math.abs(values[i] - value(expected, tensor.offset() + i)));
      }
    }
    return largest;
  }

  /** Of all weights but those to skip. */
  private double weightDeviation(ParameterVector found, MemorySegment expected, IntPredicate skip) {
    Deviation deviation = new Deviation();
    for (RecordedTrajectory.FlatTensor tensor : trajectory.layout()) {
      float[] values = found.download(ours(tensor));
      for (int i = 0; i < values.length; i++) {
        if (!skip.test(tensor.offset() + i)) {
          deviation.add(value(expected, tensor.offset() + i), values[i]);
        }
      }
    }
    return deviation.smaller();
  }

  /**
   * How far two vectors are apart, by their largest difference and by their difference's length
   * over the vector's. Where a gradient is mere rounding noise, Adam still takes a whole step: a
   * few entries may differ visibly and mean nothing.
   */
  private static final class Deviation {

    private double largest;
    private double differences;
    private double squares;

    void add(double expected, double found) {
      double difference = found - expected;
      // Written so that NaN stays.
      largest = Math.abs(difference) <= largest ? largest : Math.abs(difference);
      differences += difference * difference;
      squares += expected * expected;
    }

    double smaller() {
      return Math.min(largest, Math.sqrt(differences / Math.max(squares, Double.MIN_NORMAL)));
    }
  }

  private double deviationOverLargest(ParameterVector found, MemorySegment expected) {
    double largest = Double.MIN_NORMAL;
    for (RecordedTrajectory.FlatTensor tensor : trajectory.layout()) {
      for (int i = 0; i < tensor.size(); i++) {
        largest = Math.max(largest, Math.abs(value(expected, tensor.offset() + i)));
      }
    }
    return largestDeviation(found, expected) / largest;
  }

  private static double value(MemorySegment vector, long index) {
    return vector.getAtIndex(JAVA_FLOAT_UNALIGNED, index);
  }

  private void upload(MemorySegment flat, ParameterVector vector) {
    for (RecordedTrajectory.FlatTensor tensor : trajectory.layout()) {
      vector.upload(
          ours(tensor),
          flat.asSlice((long) tensor.offset() * Float.BYTES, (long) tensor.size() * Float.BYTES));
    }
  }

  private void load(String name, ParameterVector weights) throws IOException {
    try (SafetensorsFile file = SafetensorsFile.open(trajectory.folder().resolve(name));
        Arena arena = Arena.ofConfined()) {
      for (RecordedTrajectory.FlatTensor tensor : trajectory.layout()) {
        weights.upload(ours(tensor), file.float32(tensor.name(), arena));
      }
    }
  }

  private void compareTask(RecordedTrajectory.RecordedTask task, ParameterVector weights)
      throws IOException {
    try (ParameterVector recorded = new ParameterVector(weights.layout(), weights.device())) {
      load("lora-after-task" + task.index() + ".safetensors", recorded);
      Deviation deviation = new Deviation();
      for (ParameterLayout.Tensor tensor : weights.layout().tensors()) {
        float[] expected = recorded.download(tensor.name());
        float[] found = weights.download(tensor.name());
        for (int i = 0; i < expected.length; i++) {
          deviation.add(expected[i], found[i]);
        }
      }
      taskWeights.add(deviation.smaller(), task.name());
      if (resync) {
        kernels.copy(recorded, weights);
      }
    }
  }

  private void compareAnswers(RecordedTrajectory.RecordedTask task, TextModel text) {
    int differing = 0;
    String where = "";
    for (RecordedTrajectory.Answer answer : task.answers()) {
      long[] source =
          trajectory.tasks().get(answer.row().task()).test().get(answer.row().row()).inputIds();
      // Recorded answers begin with the decoder's start token.
      long[] expected = Arrays.copyOfRange(answer.ids(), 1, answer.ids().length);
      long[] found =
          text.decoder().decode(List.of(source), Math.max(expected.length, 1)).getFirst();
      if (!Arrays.equals(expected, found)) {
        differing++;
        where = task.name() + ", row " + answer.row();
      }
    }
    answers.add(differing, where);
  }
}
