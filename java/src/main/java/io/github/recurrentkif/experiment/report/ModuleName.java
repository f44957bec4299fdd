package io.github.recurrentkif.experiment.report;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Where in a model a tensor stands.
 *
 * @param layer such as {@code encoder 3} or {@code decoder 0 cross}
 * @param kind the same for all layers: {@code decoder cross q A}
 */
record ModuleName(String layer, String kind) {

  private static final Pattern BLOCK =
      Pattern.compile("(?<stack>\\w+)\\.(?:block|layers|h)\\.(?<number>\\d+)\\.(?<inside>.*)");

  /** What a tensor's name says; a name of another pattern stands for itself. */
  static ModuleName of(String tensor) {
    Matcher name = BLOCK.matcher(tensor.replaceFirst("\\.weight$", ""));
    if (!name.find()) {
      return new ModuleName(tensor, tensor);
    }
    String stack = name.group("stack").equals("model") ? "layer" : name.group("stack");
    String inside = name.group("inside");
    String part =
        inside.contains("EncDecAttention")
            ? " cross"
            : inside.contains("SelfAttention") && stack.equals("decoder")
                ? " self"
                : inside.contains("DenseReluDense") || inside.startsWith("mlp") ? " mlp" : "";
    String[] words =
        inside
            .replace("lora_", "")
            .replaceAll("layer\\.\\d+\\.", "")
            .replaceAll("(SelfAttention|EncDecAttention|DenseReluDense|self_attn|mlp)\\.", "")
            .split("\\.", -1);
    return new ModuleName(
        stack + " " + name.group("number") + part, stack + part + " " + String.join(" ", words));
  }
}
