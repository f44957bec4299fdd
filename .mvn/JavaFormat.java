import com.google.googlejavaformat.java.Formatter;
import com.google.googlejavaformat.java.FormatterException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/**
 * Checks the layout of all Java files of the build, or restores it: {@code check|apply ROOT}.
 *
 * <p>The build runs this on the JDK that compiles the sources: google-java-format reads Java
 * through its JDK's own compiler, and the JDK that Maven runs on may be too old for ours.
 */
void main(String[] arguments) throws IOException {
  boolean apply = arguments[0].equals("apply");
  Path root = Path.of(arguments[1]);
  // Files older than the last run that found all well need no second look.
  Path stamp = root.resolve("target/java-format");
  FileTime wellAt = Files.exists(stamp) ? Files.getLastModifiedTime(stamp) : FileTime.fromMillis(0);
  FileTime begun = FileTime.from(Instant.now());

  List<Path> sources = new ArrayList<>();
  for (String folder : List.of(".mvn", "java/src", "bench/src")) {
    sources.addAll(javaFilesNewerThan(wellAt, root.resolve(folder)));
  }
  List<Path> wrong =
      sources.parallelStream().filter(source -> !isWell(source, apply)).sorted().toList();
  if (!wrong.isEmpty()) {
    wrong.forEach(source -> System.err.println("not formatted: " + root.relativize(source)));
    System.err.println("To format: mvn -Pformat -N process-sources");
    System.exit(1);
  }
  Files.createDirectories(stamp.getParent());
  Files.writeString(stamp, "");
  Files.setLastModifiedTime(stamp, begun);
}

List<Path> javaFilesNewerThan(FileTime time, Path folder) throws IOException {
  if (!Files.isDirectory(folder)) {
    return List.of();
  }
  List<Path> newer = new ArrayList<>();
  try (Stream<Path> files = Files.walk(folder)) {
    for (Path file : files.filter(path -> path.toString().endsWith(".java")).toList()) {
      if (Files.getLastModifiedTime(file).compareTo(time) >= 0) {
        newer.add(file);
      }
    }
  }
  return newer;
}

boolean isWell(Path source, boolean apply) {
  try {
    String text = Files.readString(source);
    String formatted = new Formatter().formatSourceAndFixImports(text);
    if (apply && !formatted.equals(text)) {
      Files.writeString(source, formatted);
    }
    return apply || formatted.equals(text);
  } catch (FormatterException e) {
    System.err.println(source + ":" + e.getMessage());
    return false;
  } catch (IOException e) {
    System.err.println(source + ": " + e);
    return false;
  }
}
