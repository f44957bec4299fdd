package io.github.recurrentkif.cli;

import io.github.recurrentkif.experiment.Build;
import io.github.recurrentkif.fusion.AdaptedModel;
import io.github.recurrentkif.fusion.AdapterFile;
import io.github.recurrentkif.fusion.ConcatenatedAdapter;
import io.github.recurrentkif.fusion.FusedFolder;
import io.github.recurrentkif.fusion.Fusion;
import io.github.recurrentkif.fusion.FusionRule;
import io.github.recurrentkif.fusion.FusionRule.ByImportance;
import io.github.recurrentkif.fusion.FusionRule.Combine;
import io.github.recurrentkif.fusion.FusionRule.ImportanceFiles;
import io.github.recurrentkif.fusion.FusionRule.Scope;
import io.github.recurrentkif.fusion.FusionRule.Sparsity;
import io.github.recurrentkif.fusion.Mismatch;
import io.github.recurrentkif.fusion.StoredModel;
import io.github.recurrentkif.fusion.Weights;
import io.github.recurrentkif.kernels.FusionKernels;
import io.github.recurrentkif.kernels.MergeRule;
import io.github.recurrentkif.kernels.MergeRule.Coefficients;
import io.github.recurrentkif.kernels.MergeRule.Masks;
import io.github.recurrentkif.kernels.MergeRule.Soft;
import io.github.recurrentkif.kernels.MergeRule.Weighting;
import io.github.recurrentkif.kernels.Products;
import io.github.recurrentkif.kernels.cpu.CpuKernels;
import io.github.recurrentkif.kernels.cuda.CudaProducts;
import io.github.recurrentkif.kernels.reference.ReferenceProducts;
import io.github.recurrentkif.memory.AtomicFolder;
import io.github.recurrentkif.memory.DataType;
import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.model.LoraConfig;
import io.github.recurrentkif.model.PeftAdapter;
import io.github.recurrentkif.model.StoredAdapter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.CancellationException;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.ObjectMapper;

/** {@code kif fuse}: merges weights that others trained. */
@Command(
    name = "fuse",
    sortOptions = false,
    customSynopsis = {
      "kif fuse --rule=kif --base=DIR --new=DIR --old=DIR --output=DIR [OPTIONS]",
      "       kif fuse --rule=RULE [--base=DIR] --model=DIR[=WEIGHT]... --output=DIR [OPTIONS]"
    },
    description = {
      "Merge models or adapters of any size, in bounded memory.",
      "",
      "Rules: kif (by importance), linear (weighted average), task-arithmetic, ties, dare-linear,"
          + " dare-ties, magnitude. All but linear need what the models were trained from: --base.",
      ""
    })
final class FuseCommand implements Callable<Integer> {

  private static final long MILLION = 1_000_000;
  private static final double DEFAULT_QUANTILE = 0.8;

  private final Terminal terminal;

  @Option(names = "--rule", required = true, paramLabel = "RULE", description = "How to merge.")
  private String rule;

  @Option(
      names = "--base",
      paramLabel = "DIR",
      description = "What the models were trained from: task vectors are differences from it.")
  private @Nullable Path base;

  @Option(
      names = "--model",
      paramLabel = "DIR[=WEIGHT]",
      description = "A model or an adapter, with its weight (1 unless given); several.")
  private List<String> models = new ArrayList<>();

  @Option(names = "--new", paramLabel = "DIR", description = "kif: what was learned anew.")
  private @Nullable Path learned;

  @Option(names = "--old", paramLabel = "DIR", description = "kif: what was learned before.")
  private @Nullable Path kept;

  @Option(
      names = "--output",
      required = true,
      paramLabel = "DIR",
      description = "The folder to write; appears when it is whole.")
  private Path output;

  @Option(
      names = "--adapters",
      paramLabel = "HOW",
      description = {
        "Needed where models are LoRA adapters. products: what the adapters add to the model,"
            + " B*A, is merged; exact. factors: A and B are merged each for itself, as PEFT does;"
            + " the product of two sums has mixed terms B1*A2 that neither adapter had, but the"
            + " result is an adapter of the same rank, and for the kif rule it is the method."
      })
  private @Nullable String adapters;

  @Option(
      names = "--device",
      paramLabel = "DEVICE",
      description =
          "Where the products of adapters are formed: cpu, or cuda for a GPU with cuBLAS, which"
              + " rounds in an order of its own (default: cpu).")
  private String device = "cpu";

  @Option(
      names = "--density",
      paramLabel = "X",
      description =
          "ties, dare-*, magnitude: the share of each tensor that is kept (default: 0.2).")
  private double density = 0.2;

  @Option(
      names = "--scale",
      paramLabel = "X",
      description = "Factor of the merged task vector (default: 1).")
  private double scale = 1;

  @Option(
      names = "--normalize",
      negatable = true,
      paramLabel = "BOOLEAN",
      description =
          "Divide by the sum of the weights that took part (default: linear and ties do).")
  private @Nullable Boolean normalize;

  @Option(
      names = "--seed",
      paramLabel = "N",
      description = "dare-*: of what is drawn (default: 1).")
  private long seed = 1;

  @Option(
      names = "--quantile",
      paramLabel = "X",
      description = "kif: scores above this quantile are important (default: 0.8).")
  private @Nullable Double quantile;

  @Option(
      names = "--soft-temperature",
      paramLabel = "X",
      description =
          "kif: in place of classes, weigh both task vectors by how large the scores of a weight"
              + " are in the range of all; a small X comes near to a choice, a large one to the"
              + " mean.")
  private @Nullable Double softTemperature;

  @Option(
      names = "--per-tensor",
      description = "kif: a threshold, or a range, for each tensor in place of one for all.")
  private boolean perTensor;

  @Option(
      names = "--new-importance",
      split = ",",
      paramLabel = "FILE",
      description =
          "kif: safetensors of scores, or two files whose product is the score; without, how far"
              + " each weight has moved from the base.")
  private List<Path> learnedImportance = new ArrayList<>();

  @Option(
      names = "--old-importance",
      split = ",",
      paramLabel = "FILE",
      description = "kif: the same for --old.")
  private List<Path> keptImportance = new ArrayList<>();

  @Option(
      names = "--coefficients",
      split = ",",
      paramLabel = "CLASS=NEW:OLD",
      description =
          "kif: factors of both task vectors for shared, new-only, old-only and redundant weights"
              + " (default: shared=0.4:0.6,new-only=1:0,old-only=0:1,redundant=0.5:0.5).")
  private Map<String, String> coefficients = new LinkedHashMap<>();

  @Option(
      names = "--dtype",
      paramLabel = "TYPE",
      description = "Type of the result: f32, f16 or bf16 (default: that of the base).")
  private @Nullable String type;

  @Option(
      names = "--threads",
      paramLabel = "N",
      description = "0 for one for each core (default: 0).")
  private int threads;

  FuseCommand(Terminal terminal) {
    this.terminal = terminal;
  }

  /** A model and its weight, as the command line names them. */
  private record Named(Path path, double weight) {}

  @Override
  public Integer call() {
    if (output.toString().isEmpty()) {
      throw new InputException("--output: expected the folder to write, found an empty text");
    }
    FusedFolder.requireFree(output);
    List<Named> named = named();
    requireFactors(named);
    requireApart(named);
    tellUnfinished();
    boolean anyAdapter = named.stream().anyMatch(model -> StoredModel.isAdapter(model.path()));
    if (anyAdapter && adapters == null) {
      throw new InputException(
          "some of the models are LoRA adapters: choose --adapters products (what they add to the"
              + " model is merged, exactly) or --adapters factors (A and B each for itself, as PEFT"
              + " does)");
    }
    if (adapters != null && !List.of("products", "factors").contains(adapters)) {
      throw new InputException("--adapters must be products or factors, not '" + adapters + "'");
    }
    boolean products = anyAdapter && "products".equals(adapters);
    if (products && base == null) {
      concatenate(named);
      return ExitCode.OK;
    }
    if (anyAdapter && !products) {
      requireSameAdapters(named);
    }
    Deque<Weights> opened = new ArrayDeque<>();
    try (Interruption interruption = new Interruption(terminal);
        Products multiplied = openProducts()) {
      StoredModel origin = base == null ? null : open(base, opened);
      List<Weights> weights = new ArrayList<>();
      for (Named model : named) {
        weights.add(
            products && StoredModel.isAdapter(model.path())
                ? AdaptedModel.open(model.path(), requireBase(origin), multiplied)
                : open(model.path(), opened));
      }
      FusionRule chosen = rule(named, opened);
      StoredModel pattern = origin != null ? origin : (StoredModel) weights.getFirst();
      requireConfiguration(pattern.path());
      weights.forEach(model -> Mismatch.requireNone(pattern, model));
      if (chosen instanceof ByImportance merge) {
        merge.importances().stream()
            .flatMap(importance -> importance.files().stream())
            .forEach(file -> Mismatch.requireNone(pattern, file));
      }
      fuse(chosen, origin, weights, new FusedFolder(pattern, dataType()), interruption);
      return ExitCode.OK;
    } catch (CancellationException e) {
      terminal.err().println("kif: stopped; nothing was written");
      return ExitCode.INTERRUPTED;
    } finally {
      opened.forEach(Weights::close);
    }
  }

  /**
   * @throws InputException if the result would lie within a folder that is merged
   */
  private void requireApart(List<Named> named) {
    Path result = withoutLinks(output);
    Stream.concat(named.stream().map(Named::path), Stream.ofNullable(base))
        .filter(input -> result.startsWith(withoutLinks(input)))
        .findFirst()
        .ifPresent(
            input -> {
              throw new InputException(
                  "%s lies within %s, which is merged; name a folder outside of it"
                      .formatted(output, input));
            });
  }

  /** Where a path leads, as far as it leads anywhere by now. */
  private static Path withoutLinks(Path path) {
    Path whole = path.toAbsolutePath().normalize();
    for (Path there = whole; there != null; there = there.getParent()) {
      try {
        return there.toRealPath().resolve(there.relativize(whole)).normalize();
      } catch (IOException e) {
        // Not there yet: the folder above may be.
      }
    }
    return whole;
  }

  /** A merge that is killed outright leaves its folder; nobody else would ever name it. */
  private void tellUnfinished() {
    for (Path left : AtomicFolder.unfinished(output)) {
      terminal
          .err()
          .println(
              "note: %s is of a merge that was killed, or that still runs; delete it if none does"
                  .formatted(left));
    }
  }

  /**
   * @throws InputException if a folder whose configuration the result is to have holds none
   */
  private static void requireConfiguration(Path folder) {
    if (!Files.isDirectory(folder)) {
      return;
    }
    String name = StoredModel.isAdapter(folder) ? PeftAdapter.CONFIG : "config.json";
    Path file = folder.resolve(name);
    if (!Files.isRegularFile(file)) {
      throw new InputException(
          "%s: there is no %s in it, without which nothing could load the result; put the model's own there, or name a file of weights to merge these alone"
              .formatted(folder, name));
    }
    try {
      if (!new ObjectMapper().readTree(file.toFile()).isObject()) {
        throw new InputException(file + ": expected a JSON object; fetch it again");
      }
    } catch (JacksonException e) {
      throw new InputException(
          file + ": not valid JSON: " + e.getOriginalMessage() + "; fetch it again", e);
    }
  }

  /**
   * @throws InputException if a factor is not finite in float32, or the weights add up to nothing
   *     by which they are to be divided
   */
  private void requireFactors(List<Named> named) {
    if (!Float.isFinite((float) scale)) {
      throw new InputException("--scale must be finite in float32, not " + scale);
    }
    boolean every = rule.equals("linear") || rule.equals("task-arithmetic");
    boolean average = normalize != null ? normalize : rule.equals("linear");
    if (every && average && (float) named.stream().mapToDouble(Named::weight).sum() == 0) {
      throw new InputException(
          "the weights of --model add up to 0, by which the result is to be divided; choose others,"
              + " or --no-normalize");
    }
  }

  private Products openProducts() {
    try {
      return switch (device) {
        case "cpu" -> new ReferenceProducts();
        case "cuda" -> CudaProducts.open(0);
        default -> throw new InputException("must be cpu or cuda");
      };
    } catch (InputException e) {
      throw new InputException("--device " + device + ": " + e.getMessage(), e);
    }
  }

  private void fuse(
      FusionRule chosen,
      @Nullable Weights origin,
      List<Weights> weights,
      FusedFolder folder,
      Interruption interruption) {
    FusionKernels kernels = CpuKernels.openFusion();
    int count = threads == 0 ? Runtime.getRuntime().availableProcessors() : threads;
    if (count < 1) {
      throw new InputException("--threads must be 0 or more, not " + threads);
    }
    long elements =
        folder.fused().stream().mapToLong(t -> weights.getFirst().shape(t).elements()).sum();
    long work = Fusion.work(chosen, elements);
    Progress progress =
        new Progress(terminal, "fuse", "million weights", Math.max(1, work / MILLION));
    Advance advance = new Advance(progress);
    boolean done = false;
    try (Fusion fusion =
        new Fusion(kernels, count, origin, weights, chosen, advance::by, interruption)) {
      folder.write(output, fusion, record());
      done = true;
    } finally {
      if (done) {
        progress.close();
      } else {
        progress.abandon();
      }
    }
    terminal.out().println(output);
  }

  /** Adds up what several threads have done. */
  private static final class Advance {

    private final Progress progress;
    private long done;

    Advance(Progress progress) {
      this.progress = progress;
    }

    synchronized void by(long elements) {
      done += elements;
      progress.at(done / MILLION, "");
    }
  }

  private void concatenate(List<Named> named) {
    if (!rule.equals("linear") && !rule.equals("task-arithmetic")) {
      throw new InputException(
          "--rule "
              + rule
              + " on products gives full weights: name the model with --base (linear and"
              + " task-arithmetic can do without, and give an adapter)");
    }
    for (Named model : named) {
      if (!StoredModel.isAdapter(model.path())) {
        throw new InputException(model.path() + ": a full model among adapters needs --base");
      }
    }
    double sum = named.stream().mapToDouble(Named::weight).sum();
    boolean average = normalize != null ? normalize : rule.equals("linear");
    List<Double> factors =
        named.stream().map(model -> scale * model.weight() / (average ? sum : 1)).toList();
    ConcatenatedAdapter.write(output, named.stream().map(Named::path).toList(), factors, record());
    terminal.out().println(output);
  }

  private void requireSameAdapters(List<Named> named) {
    LoraConfig first = StoredAdapter.loraOf(named.getFirst().path());
    if (base != null && !StoredModel.isAdapter(base)) {
      throw new InputException(
          base
              + ": a full model; where factors are merged, --base is the adapter that they were"
              + " trained from; --adapters products merges into a model");
    }
    List<Path> all =
        Stream.concat(named.stream().map(Named::path), Stream.ofNullable(base)).toList();
    for (Path model : all) {
      if (!StoredModel.isAdapter(model)) {
        throw new InputException(
            model + ": a full model among adapters; --adapters products can merge both");
      }
      LoraConfig config = StoredAdapter.loraOf(model);
      if (config.rank() != first.rank() || config.alpha() != first.alpha()) {
        throw new InputException(
            "%s has r = %d and lora_alpha = %s, %s has %d and %s: their factors cannot be merged; use --adapters products"
                .formatted(
                    named.getFirst().path(),
                    first.rank(),
                    first.alpha(),
                    model,
                    config.rank(),
                    config.alpha()));
      }
      AdapterFile.requirePairs(model, config.rank());
    }
  }

  private static StoredModel open(Path path, Deque<Weights> opened) {
    StoredModel model = StoredModel.open(path);
    opened.push(model);
    return model;
  }

  private static StoredModel requireBase(@Nullable StoredModel origin) {
    if (origin == null) {
      throw new InputException("--base is missing: what the models were trained from");
    }
    return origin;
  }

  private List<Named> named() {
    if (rule.equals("kif")) {
      if (learned == null || kept == null || base == null || !models.isEmpty()) {
        throw new InputException("--rule kif takes --base, --new and --old, and no --model");
      }
      return List.of(new Named(learned, 1), new Named(kept, 1));
    }
    if (learned != null || kept != null) {
      throw new InputException("--new and --old go with --rule kif; use --model");
    }
    if (models.isEmpty()) {
      throw new InputException("name the models to merge: --model DIR[=WEIGHT], once for each");
    }
    if (models.size() > FusionKernels.MAXIMUM_MODELS) {
      throw new InputException(
          "at most " + FusionKernels.MAXIMUM_MODELS + " models, not " + models.size());
    }
    return models.stream().map(FuseCommand::parse).toList();
  }

  private static Named parse(String text) {
    int equals = text.lastIndexOf('=');
    if (equals < 0) {
      return new Named(Path.of(text), 1);
    }
    return new Named(
        Path.of(text.substring(0, equals)), number("--model", text.substring(equals + 1)));
  }

  private static double number(String option, String text) {
    try {
      double value = Double.parseDouble(text);
      if (Float.isFinite((float) value)) {
        return value;
      }
    } catch (NumberFormatException e) {
      // said below
    }
    throw new InputException(
        option + ": expected a number that is finite in float32, found '" + text + "'");
  }

  private FusionRule rule(List<Named> named, Deque<Weights> opened) {
    requireShare("--density", density, false);
    List<Double> weights = named.stream().map(Named::weight).toList();
    FusionRule chosen =
        switch (rule) {
          case "kif" -> byImportance(opened);
          case "linear" -> combine(false, Sparsity.EVERY, false, true, weights);
          case "task-arithmetic" -> combine(true, Sparsity.EVERY, false, false, weights);
          case "ties" -> combine(true, Sparsity.LARGE, true, true, weights);
          case "dare-linear" -> combine(true, Sparsity.RANDOM, false, false, weights);
          case "dare-ties" -> combine(true, Sparsity.RANDOM, true, false, weights);
          case "magnitude" -> combine(true, Sparsity.LARGE, false, false, weights);
          default ->
              throw new InputException(
                  "--rule must be kif, linear, task-arithmetic, ties, dare-linear, dare-ties or"
                      + " magnitude, not '"
                      + rule
                      + "'");
        };
    if (base == null && chosen instanceof Combine combine && combine.taskVectors()) {
      throw new InputException(
          "--rule " + rule + " needs --base: what the models were trained from");
    }
    return chosen;
  }

  private static void requireShare(String option, double value, boolean zeroToo) {
    if (!(value <= 1 && (zeroToo ? value >= 0 : value > 0))) {
      throw new InputException(
          option + " must lie in " + (zeroToo ? "[" : "(") + "0, 1], not " + value);
    }
  }

  private Combine combine(
      boolean taskVectors,
      Sparsity sparsity,
      boolean consensus,
      boolean normalised,
      List<Double> weights) {
    return new Combine(
        taskVectors,
        sparsity,
        density,
        consensus,
        normalize != null ? normalize : normalised,
        scale,
        seed,
        weights);
  }

  private ByImportance byImportance(Deque<Weights> opened) {
    if (learnedImportance.isEmpty() != keptImportance.isEmpty()
        || learnedImportance.size() != keptImportance.size()) {
      throw new InputException(
          "--new-importance and --old-importance go together, with as many files each");
    }
    if (learnedImportance.size() > 2) {
      throw new InputException(
          "--new-importance takes one file, or two whose product is the score");
    }
    List<ImportanceFiles> importances = new ArrayList<>();
    if (!learnedImportance.isEmpty()) {
      for (List<Path> files : List.of(learnedImportance, keptImportance)) {
        importances.add(
            new ImportanceFiles(files.stream().map(file -> open(file, opened)).toList()));
      }
    }
    return new ByImportance(
        quantile(), perTensor ? Scope.TENSOR : Scope.GLOBAL, weighting(), importances);
  }

  private double quantile() {
    double share = quantile == null ? DEFAULT_QUANTILE : quantile;
    requireShare("--quantile", share, true);
    return share;
  }

  private Weighting weighting() {
    if (softTemperature == null) {
      return coefficients();
    }
    if (quantile != null || !coefficients.isEmpty()) {
      throw new InputException(
          "--soft-temperature weighs every weight by its scores: --quantile and --coefficients, for"
              + " classes, are of no use with it; leave them out");
    }
    float rounded = softTemperature.floatValue();
    if (!(rounded > 0 && rounded < Float.POSITIVE_INFINITY)) {
      throw new InputException(
          "--soft-temperature must be above 0 and finite in float32, not " + softTemperature);
    }
    return new Soft(softTemperature);
  }

  private Masks coefficients() {
    Masks reference = MergeRule.referenceMasks();
    for (String key : coefficients.keySet()) {
      if (!List.of("shared", "new-only", "old-only", "redundant").contains(key)) {
        throw new InputException(
            "--coefficients: no class '"
                + key
                + "'; there are shared, new-only, old-only and redundant");
      }
    }
    return new Masks(
        coefficients("shared", reference.shared()),
        coefficients("new-only", reference.newOnly()),
        coefficients("old-only", reference.oldOnly()),
        coefficients("redundant", reference.redundant()));
  }

  private Coefficients coefficients(String key, Coefficients otherwise) {
    String text = coefficients.get(key);
    if (text == null) {
      return otherwise;
    }
    String[] parts = text.split(":", -1);
    if (parts.length != 2) {
      throw new InputException(
          "--coefficients: expected " + key + "=NEW:OLD, such as 0.4:0.6, found '" + text + "'");
    }
    return new Coefficients(
        (float) number("--coefficients", parts[0]), (float) number("--coefficients", parts[1]));
  }

  private @Nullable DataType dataType() {
    return switch (type == null ? "" : type.toLowerCase(Locale.ROOT)) {
      case "" -> null;
      case "f32", "float32" -> DataType.F32;
      case "f16", "float16" -> DataType.F16;
      case "bf16", "bfloat16" -> DataType.BF16;
      default -> throw new InputException("--dtype must be f32, f16 or bf16, not '" + type + "'");
    };
  }

  /** How the result was made. */
  private Map<String, Object> record() {
    Map<String, Object> record = new LinkedHashMap<>();
    record.put("rule", rule);
    if (base != null) {
      record.put("base", base.toString());
    }
    if (rule.equals("kif")) {
      record.put("new", String.valueOf(learned));
      record.put("old", String.valueOf(kept));
      if (softTemperature != null) {
        record.put("soft_temperature", softTemperature);
        record.put("range", perTensor ? "tensor" : "global");
      } else {
        record.put("quantile", quantile());
        record.put("threshold", perTensor ? "tensor" : "global");
        record.put("coefficients", coefficients);
      }
      if (!learnedImportance.isEmpty()) {
        record.put("new_importance", learnedImportance.stream().map(Path::toString).toList());
        record.put("old_importance", keptImportance.stream().map(Path::toString).toList());
      }
    } else {
      record.put("models", models);
      record.put("density", density);
      record.put("scale", scale);
      record.put("seed", seed);
      if (normalize != null) {
        record.put("normalize", normalize);
      }
    }
    if (adapters != null) {
      record.put("adapters", adapters);
    }
    record.put("made_by", "kif " + Build.current().version());
    return record;
  }
}
