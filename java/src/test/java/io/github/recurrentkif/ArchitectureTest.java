package io.github.recurrentkif;

import static com.tngtech.archunit.base.DescribedPredicate.describe;
import static com.tngtech.archunit.base.DescribedPredicate.not;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.INTERFACES;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.assignableTo;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAPackage;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.fields;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noFields;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.domain.JavaModifier;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.lang.ArchRule;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

/** The house of docs/architecture.md: who may use whom. */
class ArchitectureTest {

  private static final String ROOT = "io.github.recurrentkif";

  /** Each package, and the packages it may use besides itself. */
  private static final Map<String, Set<String>> MAY_USE =
      Map.ofEntries(
          Map.entry("memory", Set.of()),
          Map.entry("graph", Set.of("memory")),
          Map.entry("graph.operators", Set.of("memory", "graph")),
          Map.entry("runtime", Set.of("memory")),
          Map.entry("kernels", Set.of("memory")),
          Map.entry("kernels.reference", Set.of("memory", "kernels")),
          // Where there is no compiler, the specification itself computes.
          Map.entry("kernels.cpu", Set.of("memory", "kernels", "kernels.reference")),
          Map.entry("kernels.cuda", Set.of("memory", "kernels")),
          // Lets all implementations compete.
          Map.entry(
              "kernels.bench",
              Set.of("memory", "kernels", "kernels.reference", "kernels.cpu", "kernels.cuda")),
          Map.entry("data", below(2)),
          Map.entry("data.world", with(below(2), "data")),
          Map.entry("model", with(below(2), "data")),
          Map.entry("training", with(below(2), "data", "model")),
          Map.entry("continual", below(3)),
          Map.entry("fusion", Set.of("memory", "kernels", "model")),
          Map.entry("experiment", with(below(3), "continual")),
          Map.entry("experiment.sweep", with(below(3), "continual", "experiment")),
          Map.entry("experiment.report", Set.of("memory", "continual", "experiment")),
          Map.entry("experiment.verification", with(below(3), "continual", "experiment")),
          Map.entry("engine", with(below(3), "continual", "experiment")),
          Map.entry(
              "cli",
              with(
                  below(3),
                  "continual",
                  "fusion",
                  "experiment",
                  "experiment.sweep",
                  "experiment.report",
                  "experiment.verification",
                  "kernels.bench")));

  private static final JavaClasses MAIN =
      new ClassFileImporter()
          .withImportOption(new ImportOption.DoNotIncludeTests())
          .importPackages(ROOT);

  private static Set<String> below(int floor) {
    Set<String> packages =
        new TreeSet<>(
            Set.of(
                "memory",
                "graph",
                "graph.operators",
                "runtime",
                "kernels",
                "kernels.reference",
                "kernels.cpu",
                "kernels.cuda"));
    if (floor >= 3) {
      packages.addAll(Set.of("data", "data.world", "model", "training"));
    }
    return packages;
  }

  private static Set<String> with(Set<String> packages, String... more) {
    Set<String> all = new TreeSet<>(packages);
    all.addAll(Set.of(more));
    return all;
  }

  @Test
  void every_package_has_a_place_in_the_house() {
    Set<String> unknown =
        MAIN.stream()
            .map(JavaClass::getPackageName)
            .map(name -> name.substring(Math.min(name.length(), ROOT.length() + 1)))
            .filter(name -> !MAY_USE.containsKey(name))
            .collect(Collectors.toCollection(TreeSet::new));
    assertFalse(MAIN.isEmpty());
    assertEquals(Set.of(), unknown, "add these to MAY_USE and to docs/architecture.md");
  }

  @TestFactory
  Iterable<DynamicTest> a_package_uses_only_what_stands_below_it() {
    List<DynamicTest> tests = new ArrayList<>();
    MAY_USE.forEach(
        (user, used) ->
            tests.add(DynamicTest.dynamicTest(user, () -> usesOnly(user, used).check(MAIN))));
    return tests;
  }

  @Test
  void the_rule_of_the_floors_notices_a_use_that_is_not_allowed() {
    ArchRule tooStrict = usesOnly("kernels", Set.of());
    assertThrows(AssertionError.class, () -> tooStrict.check(MAIN));
  }

  private static ArchRule usesOnly(String user, Set<String> used) {
    String[] allowed =
        with(used, user).stream().map(name -> ROOT + "." + name).toArray(String[]::new);
    return noClasses()
        .that(resideInAPackage(ROOT + "." + user))
        .should()
        .dependOnClassesThat(
            resideInAPackage(ROOT + "..")
                .and(resideInAnyPackage(allowed).negate())
                .as("live elsewhere than in " + with(used, user)))
        // A package of the plan that has no class yet.
        .allowEmptyShould(true);
  }

  @Test
  void packages_form_no_cycles() {
    slices().matching(ROOT + ".(**)").should().beFreeOfCycles().check(MAIN);
  }

  @Test
  void no_class_has_a_name_that_says_nothing() {
    noClasses().should().haveNameMatching(".*(Util|Utils|Helper|Helpers|Manager)").check(MAIN);
  }

  @Test
  void nothing_static_changes() {
    fields().that().areStatic().should().beFinal().check(MAIN);
    noFields()
        .that()
        .areStatic()
        .and()
        .areNotPrivate()
        .and()
        .doNotHaveModifier(JavaModifier.SYNTHETIC)
        .should()
        .haveRawType(
            assignableTo(Collection.class)
                .or(assignableTo(Map.class))
                .and(not(INTERFACES))
                .or(resideInAPackage("java.util.concurrent.atomic"))
                .or(describe("arrays", JavaClass::isArray)))
        .check(MAIN);
  }

  @Test
  void nobody_reflects() {
    noClasses()
        .should()
        .dependOnClassesThat()
        .resideInAPackage("java.lang.reflect")
        .orShould()
        .callMethod(Class.class, "forName", String.class)
        .check(MAIN);
  }
}
