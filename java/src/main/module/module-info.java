/**
 * Recurrent-KIF: continual learning for language models.
 *
 * <p>{@code engine} opens models and kernels. The other exported packages hold what it takes and
 * gives: vectors, operations on them, samples and tasks, and methods of learning. Everything else
 * may change with any version.
 */
@SuppressWarnings("requires-automatic") // DJL, ONNX Runtime and JCuda name no module
module io.github.recurrentkif {
  requires ai.djl.api;
  requires ai.djl.tokenizers;
  requires com.google.gson; // for DJL
  requires com.microsoft.onnxruntime; // for its library
  requires info.picocli;
  requires jdk.management;
  requires jcuda;
  requires org.apache.commons.statistics.inference;
  requires static transitive org.jspecify;
  requires org.slf4j; // for DJL
  requires tools.jackson.databind;
  requires tools.jackson.dataformat.yaml;

  exports io.github.recurrentkif.continual;
  exports io.github.recurrentkif.data;
  exports io.github.recurrentkif.engine;
  exports io.github.recurrentkif.kernels;
  exports io.github.recurrentkif.memory;
  exports io.github.recurrentkif.training;

  opens io.github.recurrentkif.cli to
      info.picocli;
}
