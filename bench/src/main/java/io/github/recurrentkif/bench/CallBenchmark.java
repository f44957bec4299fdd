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

/** What a call from Java costs beyond the work: arrays of one cache line, one thread. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Fork(value = 1, jvmArgsAppend = "--enable-native-access=ALL-UNNAMED")
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
public class CallBenchmark {

  @Param({"java", "baseline-1", "avx512-1"})
  public String implementation = "java";

  /** One cache line. */
  @Param("16")
  public long n;

  @SuppressWarnings("NullAway.Init") // JMH calls open() first.
  KernelState state;

  @Setup(Level.Trial)
  public void open() {
    state = new KernelState(implementation, n);
    // A moving average that is repeated without end decays into denormals, but zeros stay zeros.
    state.kernels.zero(state.gradient);
    state.kernels.zero(state.inner.importance().sensitivity());
    state.kernels.zero(state.inner.importance().uncertainty());
  }

  @Benchmark
  public void zero() {
    state.kernels.zero(state.base);
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
