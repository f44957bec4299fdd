package io.github.recurrentkif.runtime;

import io.github.recurrentkif.memory.CacheFolder;
import io.github.recurrentkif.memory.CacheFolder.Fingerprint;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.JarURLConnection;
import java.net.URL;
import java.net.URLConnection;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.jar.Attributes;
import java.util.jar.JarEntry;
import java.util.jar.Manifest;
import org.jspecify.annotations.Nullable;

/**
 * Which ONNX Runtime library is used, and why this one.
 *
 * @param path the file that the loader gets
 * @param source which rule chose it
 * @param explanation one sentence for people
 */
public record RuntimeLibrary(Path path, Source source, String explanation) {

  /** The environment variable that names a library, such as one with CUDA in it. */
  public static final String VARIABLE = "KIF_ORT_LIBRARY";

  private static final String UNVERSIONED = "unversioned";

  /** The rules, in the order in which they are tried. */
  public enum Source {
    ARGUMENT,
    ENVIRONMENT,
    JAR
  }

  /**
   * Finds the library: the argument, else {@value #VARIABLE}, else out of the jar on the class
   * path, by way of the cache folder.
   *
   * @throws OnnxRuntimeException if the file named does not exist, or the jar has none for this
   *     machine
   */
  static RuntimeLibrary find(
      @Nullable Path argument, Map<String, String> environment, CacheFolder cache) {
    if (argument != null) {
      return named(argument, Source.ARGUMENT, "given explicitly");
    }
    String variable = environment.get(VARIABLE);
    if (variable != null && !variable.isBlank()) {
      return named(Path.of(variable), Source.ENVIRONMENT, "environment variable " + VARIABLE);
    }
    return extracted(platform(System.getProperty("os.name"), System.getProperty("os.arch")), cache);
  }

  private static RuntimeLibrary named(Path path, Source source, String why) {
    if (!Files.isRegularFile(path)) {
      throw new OnnxRuntimeException(
          "no ONNX Runtime library at " + path.toAbsolutePath() + " (" + why + ")");
    }
    return new RuntimeLibrary(path.toAbsolutePath(), source, why);
  }

  /** Folder and file name of the library inside Microsoft's jar. */
  record Platform(String folder, String fileName) {}

  static Platform platform(String osName, String osArch) {
    String os = osName.toLowerCase(Locale.ROOT);
    String arch =
        switch (osArch) {
          case "amd64", "x86_64" -> "x64";
          case "aarch64" -> "aarch64";
          default -> osArch;
        };
    if (os.startsWith("mac")) {
      return new Platform("osx-" + arch, "libonnxruntime.dylib");
    }
    if (os.startsWith("windows")) {
      return new Platform("win-" + arch, "onnxruntime.dll");
    }
    return new Platform("linux-" + arch, "libonnxruntime.so");
  }

  static RuntimeLibrary extracted(Platform platform, CacheFolder cache) {
    String resource = "ai/onnxruntime/native/" + platform.folder() + "/" + platform.fileName();
    // By the loader: as modules, that jar is another one than ours.
    ClassLoader loader = Objects.requireNonNull(RuntimeLibrary.class.getClassLoader());
    URL url = loader.getResource(resource);
    if (url == null) {
      throw new OnnxRuntimeException(
          "no ONNX Runtime for this machine: no resource /"
              + resource
              + " on the class path. Add Microsoft's onnxruntime jar, or set "
              + VARIABLE
              + " to a library");
    }
    try {
      Resource library = resource(url);
      Path name =
          Path.of(
              "onnxruntime",
              "%s-%s-%08x"
                  .formatted(library.version(), platform.folder(), library.fingerprint().crc32()),
              platform.fileName());
      Path file = cache.provide(name, library.fingerprint(), url::openStream);
      return new RuntimeLibrary(file, Source.JAR, "extracted from " + url);
    } catch (IOException e) {
      throw new UncheckedIOException("cannot read " + url, e);
    }
  }

  private record Resource(String version, Fingerprint fingerprint) {}

  /** Reads the directory of the jar, which costs nothing, where there is a jar. */
  private static Resource resource(URL url) throws IOException {
    URLConnection connection = url.openConnection();
    if (connection instanceof JarURLConnection jar) {
      JarEntry entry = jar.getJarEntry();
      Manifest manifest = jar.getManifest();
      String version =
          manifest == null
              ? null
              : manifest.getMainAttributes().getValue(Attributes.Name.IMPLEMENTATION_VERSION);
      if (entry != null && entry.getSize() >= 0 && entry.getCrc() >= 0) {
        return new Resource(
            version == null ? UNVERSIONED : version,
            new Fingerprint(entry.getSize(), entry.getCrc()));
      }
    }
    try (InputStream content = connection.getInputStream()) {
      return new Resource(UNVERSIONED, Fingerprint.of(content));
    }
  }
}
