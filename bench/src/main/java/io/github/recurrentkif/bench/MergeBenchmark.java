package io.github.recurrentkif.bench;

import io.github.recurrentkif.kernels.MergeRule;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/** The merge with both masks inline: guards that it is one pass. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.SingleShotTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(value = 1, jvmArgsAppend = "--enable-native-access=ALL-UNNAMED")
@Warmup(iterations = 10)
@Measurement(iterations = 30)
public class MergeBenchmark {

  @Param({"java", "baseline-1", "avx2-1", "avx512-1", "avx512-2"})
  public String implementation = "java";

  /** T5-large with LoRA of rank 8 on queries and values; larger than every cache. */
  @Param({"2359296", "67108864"})
  public long n;

  @SuppressWarnings("NullAway.Init") // JMH calls open() first.
  KernelState state;

  @Setup(Level.Trial)
  public void open() {
    state = new KernelState(implementation, n);
  }

  @Setup(Level.Iteration)
  public void restore() {
    state.restore();
  }

  @Benchmark
  public void merge() {
    state.kernels.merge(
        state.weights, state.base, state.snapshot, state.inner, state.outer, MergeRule.reference());
  }

  @TearDown(Level.Trial)
  public void close() {
    state.close();
  }
}
