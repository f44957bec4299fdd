package io.github.recurrentkif.memory;

import java.io.IOException;
import java.nio.file.Path;

/** Says which safetensors file, or index of such files, breaks the format, and how. */
public final class MalformedSafetensorsException extends IOException {

  MalformedSafetensorsException(Path file, String problem) {
    super(file + " is malformed: " + problem);
  }

  MalformedSafetensorsException(Path file, String problem, Throwable cause) {
    super(file + " is malformed: " + problem, cause);
  }
}
