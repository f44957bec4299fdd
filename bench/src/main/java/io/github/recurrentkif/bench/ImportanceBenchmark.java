package io.github.recurrentkif.bench;

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

/** The update of an importance: guards that it costs what its six arrays cost to move. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.SingleShotTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(value = 1, jvmArgsAppend = "--enable-native-access=ALL-UNNAMED")
@Warmup(iterations = 10)
@Measurement(iterations = 30)
public class ImportanceBenchmark {

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
  public void importance() {
    state.kernels.importance(
        state.weights,
        state.gradient,
        KernelState.CLIP,
        state.inner.importance(),
        KernelState.RULE);
  }

  @TearDown(Level.Trial)
  public void close() {
    state.close();
  }
}
