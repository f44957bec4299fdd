package io.github.recurrentkif.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.charset.StandardCharsets;
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
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    int status = process.waitFor();
    return status == 0 ? "" : "status " + status + "\n" + said;
  }
}
