package io.github.recurrentkif.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * What a C program gets from native/install.sh: header, library, pkg-config file, and the example.
 */
class InstallTest {

  @TempDir static Path prefix;

  private record Outcome(int status, String output) {}

  @BeforeAll
  static void install() throws Exception {
    assumeTrue(
        "native".equals(System.getProperty("kif.kernels")),
        "SKIPPED: this build has no native kernels, so there is nothing to install");
    // The folder in which the build compiled them: nothing is compiled twice.
    Outcome outcome =
        run(Map.of(), "sh", "../native/install.sh", prefix.toString(), "target/native");
    assertEquals(0, outcome.status, outcome.output);
  }

  @Test
  void aStrictCompilerTakesTheHeaderAndTheExampleMerges() throws Exception {
    Path program = prefix.resolve("merge");
    List<String> command =
        new ArrayList<>(
            List.of("cc", "-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O2"));
    command.addAll(List.of("../native/examples/merge.c", "-o", program.toString()));
    command.addAll(flags());
    Outcome compiled = run(Map.of(), command.toArray(String[]::new));
    assertEquals(0, compiled.status, compiled.output);
    // Medians 4.5 and 4.5. New only: 0 + (3 - 1); shared: (1 + 2) / 2; old only: 1.
    assertEquals(
        new Outcome(
            0,
            """
            thresholds 4.5 4.5
            shared 2, new 2, old 2, redundant 2
            1 0 1 0 1.5 2 1.5 2
            """),
        run(Map.of(), program.toString()));
  }

  @Test
  void theLibraryExportsWhatTheHeaderDeclaresAndNothingElse() throws Exception {
    Path library = prefix.resolve("lib/libkif.so");
    assumeTrue(Files.exists(library) && exists("nm"), "SKIPPED: needs nm and a library in ELF");
    var declared = new TreeSet<String>();
    Pattern.compile("^KIF_API [^(]*?\\*?(kif_\\w+)\\(", Pattern.MULTILINE)
        .matcher(Files.readString(prefix.resolve("include/kif.h")))
        .results()
        .forEach(match -> declared.add(match.group(1)));
    assertTrue(declared.contains("kif_stored_merge"), declared::toString);
    Outcome symbols = run(Map.of(), "nm", "-D", "--defined-only", library.toString());
    var exported = new TreeSet<String>();
    symbols.output.lines().forEach(line -> exported.add(line.substring(line.lastIndexOf(' ') + 1)));
    assertEquals(declared, exported);
  }

  @Test
  void whatIsRecordedIsThePrefixAndWhatIsWrittenLiesUnderDestdir(@TempDir Path stage)
      throws Exception {
    Outcome staged =
        run(
            Map.of("DESTDIR", stage.toString()),
            "sh",
            "../native/install.sh",
            "/opt/kif",
            "target/native");
    assertEquals(0, staged.status, staged.output);
    String recorded = Files.readString(stage.resolve("opt/kif/lib/pkgconfig/kif.pc"));
    assertTrue(recorded.startsWith("prefix=/opt/kif\n"), recorded);
  }

  @Test
  void withoutACompilerItInstallsNothingAndSaysWhy(@TempDir Path empty) throws Exception {
    // A path on which everything is found but a compiler.
    Path tools = Files.createDirectory(empty.resolve("tools"));
    for (String tool : List.of("sh", "dirname", "mkdir", "uname", "cat", "rm", "grep", "sed")) {
      Path found = onPath(tool);
      assumeTrue(found != null, () -> "SKIPPED: this machine has no " + tool);
      Path script = tools.resolve(tool);
      Files.writeString(script, "#!/bin/sh\nexec " + found + " \"$@\"\n");
      assertTrue(script.toFile().setExecutable(true));
    }
    Path target = empty.resolve("target");
    Outcome outcome =
        run(
            Map.of("PATH", tools.toString(), "CC", ""),
            "sh",
            "../native/install.sh",
            target.toString(),
            empty.resolve("work").toString());
    assertEquals(1, outcome.status, outcome.output);
    assertTrue(outcome.output.contains("nothing installed: no C compiler"), outcome.output);
    assertTrue(Files.notExists(target));
  }

  private static List<String> flags() throws Exception {
    if (exists("pkg-config")) {
      Outcome flags =
          run(
              Map.of("PKG_CONFIG_PATH", prefix.resolve("lib/pkgconfig").toString()),
              "pkg-config",
              "--cflags",
              "--libs",
              "kif");
      assertEquals(0, flags.status, flags.output);
      return List.of(flags.output.strip().split(" +"));
    }
    Path lib = prefix.resolve("lib");
    return List.of("-I" + prefix.resolve("include"), "-L" + lib, "-Wl,-rpath," + lib, "-lkif");
  }

  private static boolean exists(String tool) {
    return onPath(tool) != null;
  }

  private static @Nullable Path onPath(String tool) {
    for (String folder : System.getenv().getOrDefault("PATH", "").split(":", -1)) {
      Path file = Path.of(folder, tool);
      if (Files.isExecutable(file)) {
        return file.toAbsolutePath();
      }
    }
    return null;
  }

  private static Outcome run(Map<String, String> environment, String... command)
      throws IOException, InterruptedException {
    var builder = new ProcessBuilder(command).redirectErrorStream(true);
    builder.environment().putAll(environment);
    Process process = builder.start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    return new Outcome(process.waitFor(), output);
  }
}
