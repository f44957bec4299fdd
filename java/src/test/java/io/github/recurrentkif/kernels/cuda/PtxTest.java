package io.github.recurrentkif.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The PTX in the jar is what the sources give, and old drivers can read it. */
class PtxTest {

  /** What made the PTX that is checked in; another one may write another text. */
  private static final String COMPILER = "V13.0.88";

  private final String ptx = new String(CudaKernels.ptx(), StandardCharsets.US_ASCII);

  @Test
  void itIsOldEnoughForDriversSinceTuring() {
    assertTrue(ptx.contains("\n.version 6.3\n.target sm_75\n"), ptx.substring(0, 200));
  }

  @Test
  void nothingInItRoundsOtherwiseThanJava() {
    assertEquals(
        Set.of(),
        matches(ptx, "\\b(?:fma|mad)\\.r[nz]\\S*|\\S*\\.(?:ftz|approx|full)\\b\\S*"),
        "fused, flushed or approximate instructions");
    assertTrue(ptx.contains("sqrt.rn.f32") && ptx.contains("div.rn.f32"));
  }

  @Test
  void itHasEveryKernelThatTheSourcesExport() throws IOException {
    try (Stream<Path> files = Files.list(Emulator.sources())) {
      String sources =
          files
              .filter(file -> file.toString().endsWith(".cu"))
              .map(PtxTest::read)
              .collect(Collectors.joining());
      Set<String> exported = new TreeSet<>();
      for (String export : matches(sources, "KIF_EXPORT\\(\\w+\\)")) {
        exported.add(export.substring("KIF_EXPORT(".length(), export.length() - 1));
      }
      Set<String> entries = new TreeSet<>();
      for (String entry : matches(ptx, "\\.entry \\w+")) {
        entries.add(entry.substring(".entry ".length()));
      }
      assertEquals(exported, entries);
      assertTrue(entries.contains("kif_merge_2"));
    }
  }

  @Test
  void itIsWhatTheCompilerMakesOfTheSources(@TempDir Path folder) throws Exception {
    String compiler = compiler();
    Path made = folder.resolve("kif.ptx");
    ProcessBuilder build =
        new ProcessBuilder(
            "sh", Emulator.sources().resolve("build-ptx.sh").toString(), made.toString());
    build.environment().put("NVCC", compiler);
    String said = run(build, folder);
    assertEquals(
        ptx, Files.readString(made), "run cuda-kernels/build-ptx.sh and commit what it makes");
    assertTrue(said.contains("sm_120") || said.contains("no ptxas"), said);
  }

  private static String compiler() throws Exception {
    Optional<String> found =
        Stream.concat(
                Stream.ofNullable(System.getenv("NVCC")),
                Stream.of(System.getenv("PATH").split(":", -1)).map(folder -> folder + "/nvcc"))
            .filter(file -> Files.isRegularFile(Path.of(file)) && Files.isExecutable(Path.of(file)))
            .findFirst();
    Assumptions.assumeTrue(
        found.isPresent(),
        "SKIPPED: the PTX is not compared with its sources, for there is no nvcc (NVCC, PATH)");
    Path folder = Files.createTempDirectory("nvcc");
    String version = run(new ProcessBuilder(found.orElseThrow(), "--version"), folder);
    Assumptions.assumeTrue(
        version.contains(COMPILER),
        "SKIPPED: the PTX is that of nvcc " + COMPILER + ", here is " + version);
    return found.orElseThrow();
  }

  private static String run(ProcessBuilder command, Path folder) throws Exception {
    Path log = Files.createTempFile(folder, "run", ".log");
    Process process = command.redirectErrorStream(true).redirectOutput(log.toFile()).start();
    assertTrue(process.waitFor(5, TimeUnit.MINUTES), "takes too long: " + command.command());
    String said = Files.readString(log);
    assertEquals(0, process.exitValue(), said);
    return said;
  }

  private static Set<String> matches(String text, String pattern) {
    return Pattern.compile(pattern)
        .matcher(text)
        .results()
        .map(match -> match.group())
        .collect(Collectors.toCollection(TreeSet::new));
  }

  private static String read(Path file) {
    try {
      return Files.readString(file);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
