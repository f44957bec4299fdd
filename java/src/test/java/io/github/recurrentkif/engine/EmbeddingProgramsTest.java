package io.github.recurrentkif.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.SharedFolder;
import io.github.recurrentkif.SmallModel;
import java.io.File;
import java.io.IOException;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.jar.Attributes;
import java.util.jar.JarOutputStream;
import java.util.jar.Manifest;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import java.util.zip.Deflater;
import java.util.zip.ZipEntry;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;

/** The programs in docs/embedding.md, as modules of their own that see what ours exports. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class EmbeddingProgramsTest {

  private static final Pattern BLOCK = Pattern.compile("```java\n(.*?)```", Pattern.DOTALL);
  private static final Pattern NAME = Pattern.compile("final class (\\w+) \\{");
  private static final String MODULE = "program";

  @TempDir static Path folder;

  private Path engine;
  private Path classes;
  private Path model;
  private Path data;

  @BeforeAll
  void compileThem() throws IOException {
    engine = folder.resolve("recurrent-kif.jar");
    pack(Path.of("target/classes"), engine);
    Path sources = Files.createDirectories(folder.resolve("sources/" + MODULE));
    List<String> files = new ArrayList<>();
    Path page = SharedFolder.repository().resolve("docs/embedding.md");
    List<String> programs =
        BLOCK.matcher(Files.readString(page)).results().map(block -> block.group(1)).toList();
    assertEquals(3, programs.size());
    for (String program : programs) {
      MatchResult name = NAME.matcher(program).results().findFirst().orElseThrow();
      Path file = sources.resolve(name.group(1) + ".java");
      Files.writeString(file, "package program;\n" + program);
      files.add(file.toString());
    }
    Path module = folder.resolve("sources/module-info.java");
    Files.writeString(module, "module program { requires io.github.recurrentkif; }");
    files.add(module.toString());
    classes = folder.resolve("classes");
    List<String> options = new ArrayList<>(List.of("-d", classes.toString()));
    options.addAll(
        List.of("-p", modulePath(), "-proc:none", "-Xlint:all,-requires-automatic,-classfile"));
    options.add("-Werror");
    options.addAll(files);
    StringWriter said = new StringWriter();
    var compiler = ToolProvider.getSystemJavaCompiler();
    try (var manager = compiler.getStandardFileManager(null, null, null)) {
      List<String> flags = options.subList(0, options.size() - files.size());
      boolean compiled =
          compiler
              .getTask(
                  said,
                  manager,
                  null,
                  flags,
                  null,
                  manager.getJavaFileObjects(files.toArray(String[]::new)))
              .call();
      assertTrue(compiled, said::toString);
    }
    model = SmallModel.writeModel(folder.resolve("model"));
    data = SmallModel.writeTasks(folder.resolve("data"));
  }

  /** The jar as the build makes it, of which the module's descriptor is seen only within. */
  private static void pack(Path classes, Path jar) throws IOException {
    Manifest manifest = new Manifest();
    manifest.getMainAttributes().put(Attributes.Name.MANIFEST_VERSION, "1.0");
    manifest.getMainAttributes().put(Attributes.Name.MULTI_RELEASE, "true");
    try (JarOutputStream out = new JarOutputStream(Files.newOutputStream(jar), manifest);
        Stream<Path> files = Files.walk(classes)) {
      out.setLevel(Deflater.NO_COMPRESSION);
      for (Path file : (Iterable<Path>) files.filter(Files::isRegularFile)::iterator) {
        out.putNextEntry(new ZipEntry(classes.relativize(file).toString()));
        Files.copy(file, out);
      }
    }
  }

  /** The engine and its libraries, without what only tests use. */
  private String modulePath() {
    return Arrays.stream(System.getProperty("java.class.path").split(File.pathSeparator))
        .filter(entry -> !entry.endsWith("test-classes"))
        .map(entry -> entry.endsWith("classes") ? engine.toString() : entry)
        .filter(entry -> !entry.matches(".*/(junit|archunit|opentest4j|apiguardian|surefire)[^/]*"))
        .collect(Collectors.joining(File.pathSeparator));
  }

  private String run(String program, Object... arguments) throws Exception {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(List.of("-XX:TieredStopAtLevel=1", "-Xmx512m"));
    command.add("--enable-native-access=io.github.recurrentkif,ai.djl.tokenizers,com.sun.jna");
    command.addAll(List.of("-p", classes + File.pathSeparator + modulePath()));
    command.addAll(List.of("-m", MODULE + "/program." + program));
    Arrays.stream(arguments).map(Object::toString).forEach(command::add);
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(0, process.waitFor(), said);
    return said;
  }

  @Test
  void two_arrays_are_scored_and_merged() throws Exception {
    String printed = "[2.0, 2.0, 2.0, 2.5, 2.5, 3.0, 3.0, 3.0]";
    String page = Files.readString(SharedFolder.repository().resolve("docs/embedding.md"));
    assertTrue(page.contains("prints `" + printed + "`"), "the page says what is printed");
    assertEquals(printed, run("ScoreAndMerge").strip());
  }

  @Test
  void a_method_of_ones_own_trains_and_its_adapter_is_evaluated() throws Exception {
    Path adapter = folder.resolve("adapter");
    String trained = run("TrainWithAMethod", model, data, "alpha", "beta", adapter);
    assertTrue(trained.contains("learned 2 tasks"), trained);
    String evaluated = run("EvaluateAdapter", model, data, "alpha", adapter);
    assertTrue(evaluated.contains("accuracy in [0, 1]: "), evaluated);
  }
}
