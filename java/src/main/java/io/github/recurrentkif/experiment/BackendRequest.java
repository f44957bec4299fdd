package io.github.recurrentkif.experiment;

import java.nio.file.Path;
import java.util.Optional;

/**
 * What somebody asks of the machinery below a run, as far as they said it.
 *
 * @param device where to compute: {@code cpu}, {@code cuda} or {@code cuda:N}
 * @param library another ONNX Runtime library
 * @param graph how batches are run: {@code auto}, {@code packed}, {@code padded} or {@code
 *     recorded}
 * @param lean whether weights are computed with where they are mapped, instead of packed copies
 */
public record BackendRequest(
    Optional<String> device,
    Optional<Path> library,
    Optional<String> graph,
    Optional<Boolean> lean) {

  /** The request that says nothing. */
  public static BackendRequest nothing() {
    return new BackendRequest(
        Optional.empty(), Optional.empty(), Optional.empty(), Optional.empty());
  }

  /** Whether it asks for a GPU. */
  public boolean onGpu() {
    return device.filter(name -> name.startsWith("cuda")).isPresent();
  }

  /** This request, but for what a stronger one says. */
  public BackendRequest with(BackendRequest stronger) {
    return new BackendRequest(
        stronger.device.or(() -> device),
        stronger.library.or(() -> library),
        stronger.graph.or(() -> graph),
        stronger.lean.or(() -> lean));
  }
}
