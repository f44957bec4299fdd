package io.github.recurrentkif.fusion;

import io.github.recurrentkif.model.PeftAdapter;
import java.util.Optional;

/**
 * The name of a factor in an adapter's file.
 *
 * @param module as the model names it
 * @param isA whether it is the factor [rank, in]; else [out, rank]
 */
record AdapterName(String module, boolean isA) {

  private static final String PREFIX = PeftAdapter.PREFIX;
  private static final String A = ".lora_A.weight";
  private static final String B = ".lora_B.weight";

  static Optional<AdapterName> parse(String name) {
    if (name.startsWith(PREFIX) && name.endsWith(A)) {
      return Optional.of(
          new AdapterName(name.substring(PREFIX.length(), name.length() - A.length()), true));
    }
    if (name.startsWith(PREFIX) && name.endsWith(B)) {
      return Optional.of(
          new AdapterName(name.substring(PREFIX.length(), name.length() - B.length()), false));
    }
    return Optional.empty();
  }

  String a() {
    return PREFIX + module + A;
  }

  String b() {
    return PREFIX + module + B;
  }
}
