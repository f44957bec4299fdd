package io.github.recurrentkif;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.domain.JavaCodeUnit;
import com.tngtech.archunit.core.domain.JavaField;
import com.tngtech.archunit.core.domain.JavaModifier;
import com.tngtech.archunit.core.domain.JavaType;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import java.io.IOException;
import java.io.InputStream;
import java.lang.module.ModuleDescriptor;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

/**
 * What other programs can call, against the list in public-api.txt: a change is made on purpose, or
 * not at all. {@code -Dapi=accept} writes the list anew.
 */
class PublicApiTest {

  private static final String ROOT = "io.github.recurrentkif";
  private static final Path LIST = Path.of("src/test/resources/public-api.txt");

  private final Set<String> exported = new TreeSet<>();

  @Test
  void other_programs_find_what_the_list_says() throws IOException {
    try (InputStream in =
        Files.newInputStream(Path.of("target/classes/META-INF/versions/17/module-info.class"))) {
      ModuleDescriptor.read(in).exports().stream()
          .map(ModuleDescriptor.Exports::source)
          .forEach(exported::add);
    }
    JavaClasses classes =
        new ClassFileImporter()
            .withImportOption(new ImportOption.DoNotIncludeTests())
            .importPackages(ROOT);
    Set<String> surface = new TreeSet<>();
    for (JavaClass type : classes) {
      if (isVisible(type)) {
        describe(type, surface);
      }
    }
    List<String> found = surface.stream().map(line -> line.replace(ROOT + ".", "")).toList();
    if ("accept".equals(System.getProperty("api"))) {
      Files.writeString(LIST, String.join("\n", found) + "\n");
    }
    List<String> listed = Files.readAllLines(LIST);
    List<String> differing = new ArrayList<>();
    listed.stream().filter(line -> !found.contains(line)).map("- "::concat).forEach(differing::add);
    found.stream().filter(line -> !listed.contains(line)).map("+ "::concat).forEach(differing::add);
    assertTrue(found.size() > 100, "hardly anything is exported");
    assertEquals(
        List.of(),
        differing,
        "what other programs can call has changed; if that is meant, say so in CHANGELOG.md and run"
            + " this test with -Dapi=accept");
  }

  private boolean isVisible(JavaClass type) {
    return exported.contains(type.getPackageName())
        && type.getModifiers().contains(JavaModifier.PUBLIC)
        && type.getEnclosingClass().map(this::isVisible).orElse(true);
  }

  private void describe(JavaClass type, Set<String> surface) {
    String supertypes =
        type.getRawInterfaces().stream()
            .map(JavaClass::getSimpleName)
            .sorted()
            .collect(Collectors.joining(", "));
    String kind =
        type.isEnum()
            ? "enum"
            : type.isRecord() ? "record" : type.isInterface() ? "interface" : "class";
    surface.add(type.getName() + ": " + kind + (supertypes.isEmpty() ? "" : " of " + supertypes));
    for (JavaCodeUnit unit : type.getCodeUnits()) {
      if (isCallable(type, unit)) {
        String parameters =
            unit.getParameterTypes().stream()
                .map(JavaType::getName)
                .collect(Collectors.joining(", "));
        surface.add(
            "%s.%s(%s): %s%s"
                .formatted(
                    type.getName(),
                    unit.getName(),
                    parameters,
                    unit.getModifiers().contains(JavaModifier.STATIC) ? "static " : "",
                    unit.getReturnType().getName()));
      }
    }
    for (JavaField field : type.getFields()) {
      if (field.getModifiers().contains(JavaModifier.PUBLIC) && isKnown(field.getRawType())) {
        surface.add(
            "%s.%s: %s".formatted(type.getName(), field.getName(), field.getType().getName()));
      }
    }
  }

  /** Public, and of types that others can name. */
  private boolean isCallable(JavaClass type, JavaCodeUnit unit) {
    return unit.getModifiers().contains(JavaModifier.PUBLIC)
        && !unit.getModifiers().contains(JavaModifier.SYNTHETIC)
        && !unit.isAnnotatedWith(Override.class)
        && !(type.isRecord() && Set.of("equals", "hashCode", "toString").contains(unit.getName()))
        && isKnown(unit.getRawReturnType())
        && unit.getRawParameterTypes().stream().allMatch(this::isKnown);
  }

  private boolean isKnown(JavaClass type) {
    JavaClass element = type.getBaseComponentType();
    return !element.getPackageName().startsWith(ROOT)
        || exported.contains(element.getPackageName());
  }
}
