package io.github.recurrentkif.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.cli.Finding.Status;
import io.github.recurrentkif.experiment.Build;
import io.github.recurrentkif.experiment.Processor;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.function.Supplier;
import org.junit.jupiter.api.Test;

class DoctorTest {

  private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();

  private int examine(List<Supplier<List<Finding>>> sections) {
    PrintStream out = new PrintStream(bytes, true, StandardCharsets.UTF_8);
    List<Examination> examinations =
        sections.stream().<Examination>map(DoctorTest::examination).toList();
    return new DoctorCommand(new Terminal(out, out, false, false, 80), examinations).call();
  }

  private static Examination examination(Supplier<List<Finding>> findings) {
    return new Examination() {
      @Override
      public String title() {
        return "Section";
      }

      @Override
      public List<Finding> findings() {
        return findings.get();
      }
    };
  }

  private String shown() {
    return bytes.toString(StandardCharsets.UTF_8).replace(System.lineSeparator(), "\n");
  }

  @Test
  void warnings_are_shown_with_what_to_do_and_fail_nothing() {
    int status =
        examine(
            List.of(
                () ->
                    List.of(
                        Finding.ok("cores", "2"),
                        Finding.warning("compiler", "none", "install gcc"))));
    assertEquals(0, status);
    assertEquals(
        """
        Section
          ok       cores     2
          warning  compiler  none
                             -> install gcc
        """,
        shown());
  }

  @Test
  void one_failure_fails_the_whole() {
    assertEquals(
        1,
        examine(
            List.of(
                () -> List.of(Finding.failure("runtime", "missing", "install it")),
                () -> List.of(Finding.ok("cores", "2")))));
  }

  @Test
  void an_examination_that_breaks_does_not_hide_the_next() {
    int status =
        examine(
            List.of(
                () -> {
                  throw new UnsatisfiedLinkError("no libcuda");
                },
                () -> List.of(Finding.ok("cores", "2"))));
    assertEquals(1, status);
    assertTrue(shown().contains("no libcuda"), shown());
    assertTrue(shown().contains("cores"), shown());
  }

  @Test
  void the_first_three_builds_of_java_25_are_refused() {
    assertEquals(
        Status.FAILURE, MachineExamination.java(Runtime.Version.parse("25.0.2+10")).status());
    assertEquals(Status.FAILURE, MachineExamination.java(Runtime.Version.parse("25")).status());
    assertEquals(Status.OK, MachineExamination.java(Runtime.Version.parse("25.0.3+9")).status());
    assertEquals(Status.OK, MachineExamination.java(Runtime.Version.parse("26-ea+3")).status());
  }

  @Test
  void the_build_knows_its_commit() {
    String commit = Build.current().commit();
    assertTrue(commit.matches("unknown|[0-9a-f]{7,40}(-dirty)?"), commit);
  }

  @Test
  void this_machine_can_be_examined() {
    List<Finding> findings = new MachineExamination().findings();
    assertEquals(
        List.of(
            "kif", "Java", "system", "processor", "instructions", "cores", "memory", "Java heap"),
        findings.stream().map(Finding::name).toList());
  }

  @Test
  void an_x86_processor_is_read_from_its_flags() {
    Processor processor =
        Processor.parse(
            """
            processor\t: 0
            model name\t: Some Xeon
            flags\t\t: fpu sse2 avx2  fma avx512f avx2x

            processor\t: 1
            model name\t: Some Xeon
            flags\t\t: fpu sse2 avx2 fma avx512f
            """);
    assertEquals("Some Xeon", processor.model());
    assertEquals(List.of("sse2", "avx2", "fma", "avx512f"), processor.features());
  }

  @Test
  void an_arm_processor_is_read_from_its_features() {
    Processor processor = Processor.parse("processor : 0\nFeatures : fp asimd sve\n");
    assertEquals("", processor.model());
    assertEquals(List.of("asimd", "sve"), processor.features());
  }
}
