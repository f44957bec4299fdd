package io.github.recurrentkif.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

/** Builds and installs native/python and runs its own tests, where KIF_PYTHON names a Python. */
class PythonPackageTest {

  @Test
  void itsTestsPass() throws Exception {
    String python = System.getenv("KIF_PYTHON");
    assumeTrue(
        python != null && run(python, "-c", "import numpy, pip, pytest, setuptools").isEmpty(),
        "SKIPPED: KIF_PYTHON names no Python that has numpy, pip, pytest and setuptools");
    assumeTrue(
        "native".equals(System.getProperty("kif.kernels")),
        "SKIPPED: this build has no native kernels, so there is nothing to install");
    assertEquals("", run("sh", "../native/python/test.sh", python));
  }

  /** What the command says if it fails, and nothing if it does not. */
  private static String run(String... command) throws Exception {
    ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
    // The folders in which the build compiled them: nothing is compiled twice.
    builder
        .environment()
        .put("KIF_NATIVE_WORK", Path.of("target/native").toAbsolutePath().toString());
    builder
        .environment()
        .put("KIF_CUDA_EMULATOR", Path.of("target/cuda-emulator").toAbsolutePath().toString());
    Process process = builder.start();
    String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    int status = process.waitFor();
    return status == 0 ? "" : "status " + status + "\n" + said;
  }
}
