package io.github.recurrentkif.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.kernels.cuda.CudaKernels;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class BenchCommandTest {

  private static final String INCLUDE = Path.of("../native/include").toAbsolutePath().toString();

  private final ByteArrayOutputStream out = new ByteArrayOutputStream();
  private final ByteArrayOutputStream err = new ByteArrayOutputStream();
  @TempDir private Path folder;

  private int run(String... arguments) {
    Terminal terminal =
        new Terminal(
            new PrintStream(out, true, StandardCharsets.UTF_8),
            new PrintStream(err, true, StandardCharsets.UTF_8),
            false,
            false,
            80);
    List<String> all = new ArrayList<>(List.of("bench", "kernels"));
    all.addAll(List.of(arguments));
    return Main.run(terminal, all.toArray(new String[0]));
  }

  private String out() {
    return out.toString(StandardCharsets.UTF_8);
  }

  private String err() {
    return err.toString(StandardCharsets.UTF_8);
  }

  private static String guide() throws IOException {
    return Files.readString(Path.of("../docs/adding-a-kernel.md"));
  }

  /** Compiles C with the options of the guide; without a compiler the test is skipped aloud. */
  private Path compile(String source, String... options) throws Exception {
    Path code = folder.resolve("mine.c");
    Path library = folder.resolve("mine.so");
    Files.writeString(code, source);
    List<String> command = new ArrayList<>(List.of("cc"));
    command.addAll(List.of(options));
    command.addAll(
        List.of("-shared", "-fPIC", "-I", INCLUDE, "-o", library.toString(), code.toString()));
    Process process;
    try {
      process = new ProcessBuilder(command).redirectErrorStream(true).start();
    } catch (IOException e) {
      String message = "SKIPPED: bringing a kernel is not tested, for there is no cc: " + e;
      System.err.println(message);
      Assumptions.abort(message);
      throw e;
    }
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(0, process.waitFor(), output);
    return library;
  }

  private static String codeOfGuide() throws IOException {
    Matcher code = Pattern.compile("(?s)```c\n(.*?)```").matcher(guide());
    assertTrue(code.find(), "the guide shows C");
    return code.group(1);
  }

  @Test
  void the_kernel_of_the_guide_agrees_and_is_measured() throws Exception {
    assertTrue(
        guide().contains("cc -O3 -march=native -ffp-contract=off -shared -fPIC -I native/include"));
    Path library = compile(codeOfGuide(), "-O3", "-march=native", "-ffp-contract=off");
    int status =
        run(
            "--op",
            "importance",
            "--n",
            "5000,16",
            "--repetitions",
            "2",
            "--threads",
            "1",
            "--library",
            library.toString(),
            "--symbol",
            "my_importance");
    assertEquals(ExitCode.OK, status, this::err);
    Matcher row = Pattern.compile("yours: my_importance +equal +[0-9.]+ +[0-9]+ % ").matcher(out());
    assertTrue(row.find(), this::out);
    assertTrue(row.find(), this::out);
    assertTrue(out().contains("copy of 120000 bytes by "), this::out);
  }

  @Test
  void a_kernel_that_is_wrong_is_named_with_its_first_wrong_element() throws Exception {
    String wrong = codeOfGuide().replace("rule->gain1 * s", "rule->gain1 * s * 1.0000002f");
    Path library = compile(wrong, "-O1", "-ffp-contract=off");
    Path json = folder.resolve("report.json");
    int status =
        run(
            "--op",
            "importance",
            "--n",
            "64",
            "--repetitions",
            "1",
            "--threads",
            "1",
            "--json",
            json.toString(),
            "--library",
            library.toString(),
            "--symbol",
            "my_importance");
    assertEquals(ExitCode.CHECK_FAILED, status);
    assertTrue(out().contains("yours: my_importance is WRONG: n = "), this::out);
    assertTrue(Pattern.compile("yours: my_importance +WRONG +- ").matcher(out()).find(), this::out);
    assertTrue(Files.readString(json).contains("\"agrees\" : false"));
  }

  @Test
  void a_function_gets_its_arguments_in_the_order_of_the_header() throws Exception {
    Path library =
        compile(
            """
            #include "kif.h"
            void nothing(void) {}
            void raw_norm(const float *v, int64_t n, double *result) {
              double blocks[64];
              int64_t count = 0;
              for (int64_t begin = 0; begin < n; begin += 4096) {
                double lanes[256] = {0};
                for (int64_t i = begin; i < n && i < begin + 4096; i++) {
                  lanes[i % 256] += (double)v[i] * v[i];
                }
                for (int width = 128; width > 0; width /= 2) {
                  for (int j = 0; j < width; j++) lanes[j] += lanes[j + width];
                }
                blocks[count++] = lanes[0];
              }
              for (int64_t stride = 1; stride < count; stride *= 2) {
                for (int64_t i = 0; i + stride < count; i += 2 * stride) blocks[i] += blocks[i + stride];
              }
              *result = count ? blocks[0] : 0;
            }
            void raw_merge(float *w, float *base, const float *snapshot, float *iI, float *iU,
                           float *oI, float *oU, const float *ti, const float *to,
                           const kif_merge_rule *rule, int64_t n) {
              for (int64_t i = 0; i < n; i++) {
                int inner = iI[i] * iU[i] > *ti, outer = oI[i] * oU[i] > *to;
                const float *f = inner ? outer ? rule->shared : rule->new_only
                                       : outer ? rule->old_only : rule->redundant;
                float a = f[0] * (snapshot[i] - base[i]), b = f[1] * (w[i] - snapshot[i]);
                w[i] = base[i] + (a + b);
                base[i] = w[i];
              }
            }
            """,
            "-O1", "-ffp-contract=off");
    for (String operation : List.of("norm", "merge")) {
      int status =
          run(
              "--op",
              operation,
              "--n",
              "100",
              "--repetitions",
              "1",
              "--threads",
              "1",
              "--library",
              library.toString(),
              "--symbol",
              "raw_" + operation);
      assertEquals(ExitCode.OK, status, () -> out() + err());
      assertTrue(out().contains("yours: raw_" + operation), this::out);
    }
    for (String operation : List.of("threshold", "adamw", "adamw-importance")) {
      int status =
          run(
              "--op",
              operation,
              "--n",
              "100",
              "--repetitions",
              "1",
              "--threads",
              "1",
              "--library",
              library.toString(),
              "--symbol",
              "nothing");
      assertEquals(ExitCode.CHECK_FAILED, status, operation);
    }
    assertTrue(out().contains("yours: nothing is WRONG"), this::out);
  }

  @Test
  void what_cannot_be_measured_is_said() throws Exception {
    assertEquals(ExitCode.BAD_INPUT, run("--op", "sort"));
    assertTrue(err().contains("--op: there is no 'sort'; there are importance, merge,"), this::err);
    assertEquals(ExitCode.BAD_INPUT, run("--n", "0"));
    assertEquals(ExitCode.BAD_INPUT, run("--repetitions", "0"));
    assertEquals(ExitCode.BAD_INPUT, run("--threads", "-1"));
    assertEquals(ExitCode.BAD_INPUT, run("--library", "x.so"));
    assertTrue(err().contains("belong together"), this::err);
    assertEquals(ExitCode.BAD_INPUT, run("--library", "x.so", "--symbol", "f"));
    assertTrue(err().contains("say with --op which one operation f does"), this::err);
    assertEquals(ExitCode.BAD_INPUT, run("--op", "merge", "--ptx", "x.ptx"));
    assertTrue(err().contains("--ptx and --entry belong together"), this::err);
    assertEquals(ExitCode.BAD_INPUT, run("--op", "merge", "--ptx", "x.ptx", "--entry", "f"));
    assertTrue(err().contains("with --device cuda where"), this::err);
    assertEquals(ExitCode.BAD_INPUT, run("--device", "cuda", "--cuda-emulator", "x.so"));
    assertTrue(err().contains("--cuda-emulator x.so: expected a library"), this::err);
    String missing = folder.resolve("x.so").toString();
    assertEquals(ExitCode.BAD_INPUT, run("--op", "norm", "--library", missing, "--symbol", "f"));
    assertTrue(err().contains("no such file"), this::err);
    Path text = Files.writeString(folder.resolve("text.so"), "no library");
    assertEquals(
        ExitCode.BAD_INPUT, run("--op", "norm", "--library", text.toString(), "--symbol", "f"));
    assertTrue(err().contains("the system does not load"), this::err);
    Path library = compile("int there = 1;");
    assertEquals(
        ExitCode.BAD_INPUT, run("--op", "norm", "--library", library.toString(), "--symbol", "f"));
    assertTrue(err().contains("symbol 'f': expected an exported function"), this::err);
    assertFalse(out().contains("equal"), this::out);
  }

  private static String codeOfGuideInCuda() throws IOException {
    Matcher code = Pattern.compile("(?s)```cuda\n(.*?)```").matcher(guide());
    assertTrue(code.find(), "the guide shows CUDA");
    return code.group(1);
  }

  private static Path emulator() {
    Path library = Path.of("target", "cuda-emulator", "libkif_emulator.so").toAbsolutePath();
    Assumptions.assumeTrue(
        Files.exists(library),
        "SKIPPED: --device cuda is not tested, for the build found no C++ compiler");
    return library;
  }

  @Test
  void every_cuda_variant_takes_the_whole_way_on_the_emulator() throws Exception {
    Path json = folder.resolve("cuda.json");
    int status =
        run(
            "--device",
            "cuda",
            "--cuda-emulator",
            emulator().toString(),
            "--n",
            "3001",
            "--repetitions",
            "1",
            "--json",
            json.toString());
    assertEquals(ExitCode.OK, status, () -> out() + err());
    assertTrue(out().contains("on cuda-emulator"), this::out);
    for (String contestant : List.of("CUDA, naive", "CUDA, shipped", "CUDA, one launch")) {
      assertTrue(
          Pattern.compile(contestant + " +equal ").matcher(out()).find(), () -> contestant + out());
    }
    assertTrue(Files.readString(json).contains("\"device\" : \"cuda-emulator\""));
  }

  @Test
  void the_cuda_kernel_of_the_guide_agrees_on_the_emulator() throws Exception {
    emulator();
    Path sources = Path.of("../cuda-kernels").toAbsolutePath();
    Path code = folder.resolve("mine.cu");
    Path library = folder.resolve("mine-emulated.so");
    for (boolean right : new boolean[] {true, false}) {
      String source = codeOfGuideInCuda();
      Files.writeString(code, right ? source : source.replace("fabsf(s - I[i])", "(s - I[i])"));
      Process compiler =
          new ProcessBuilder(
                  "g++",
                  "-std=c++17",
                  "-O1",
                  "-w",
                  "-ffp-contract=off",
                  "-fPIC",
                  "-shared",
                  "-DKIF_EMULATOR",
                  "-I",
                  sources.toString(),
                  "-x",
                  "c++",
                  sources.resolve("emulator/emulator.cpp").toString(),
                  sources.resolve("kif.cu").toString(),
                  code.toString(),
                  "-o",
                  library.resolveSibling(right + ".so").toString())
              .redirectErrorStream(true)
              .start();
      String said = new String(compiler.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      assertEquals(0, compiler.waitFor(), said);
      int status =
          run(
              "--device",
              "cuda",
              "--cuda-emulator",
              library.resolveSibling(right + ".so").toString(),
              "--op",
              "importance",
              "--n",
              "3001",
              "--repetitions",
              "1",
              "--ptx",
              code.toString(),
              "--entry",
              "my_importance");
      assertEquals(right ? ExitCode.OK : ExitCode.CHECK_FAILED, status, () -> out() + err());
    }
    assertTrue(Pattern.compile("yours: my_importance +equal ").matcher(out()).find(), this::out);
    assertTrue(out().contains("yours: my_importance is WRONG: n = "), this::out);
  }

  @Test
  void an_entry_that_is_not_there_is_named() throws Exception {
    Path ptx = Files.writeString(folder.resolve("mine.ptx"), "anything");
    String library = emulator().toString();
    assertEquals(
        ExitCode.BAD_INPUT,
        run(
            "--device",
            "cuda",
            "--cuda-emulator",
            library,
            "--op",
            "merge",
            "--ptx",
            ptx.toString(),
            "--entry",
            "absent"));
    assertTrue(err().contains("mine.ptx, entry 'absent'"), this::err);
    assertEquals(
        ExitCode.BAD_INPUT,
        run(
            "--device",
            "cuda",
            "--cuda-emulator",
            library,
            "--op",
            "threshold",
            "--ptx",
            ptx.toString(),
            "--entry",
            "f"));
    assertTrue(err().contains("--ptx: threshold is more than one launch"), this::err);
  }

  @Test
  void without_a_driver_cuda_is_an_error_and_all_goes_on() {
    Assumptions.assumeFalse(
        CudaKernels.examine().available(),
        "SKIPPED: this machine has a GPU, so nothing is missing");
    assertEquals(ExitCode.BAD_INPUT, run("--device", "cuda"));
    assertTrue(err().contains("no CUDA: "), this::err);
    assertEquals(
        ExitCode.OK,
        run(
            "--device",
            "all",
            "--op",
            "norm",
            "--n",
            "16",
            "--repetitions",
            "1",
            "--threads",
            "1"));
    assertTrue(err().contains("cuda is left out: no CUDA: "), this::err);
  }
}
