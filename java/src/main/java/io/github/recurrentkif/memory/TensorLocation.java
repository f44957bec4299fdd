package io.github.recurrentkif.memory;

import java.nio.file.Path;

/**
 * Where the bytes of a stored tensor begin.
 *
 * @param offset in bytes from the beginning of the file
 */
public record TensorLocation(Path file, long offset) {}
