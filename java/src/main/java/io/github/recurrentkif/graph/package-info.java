/**
 * Differentiable operators, reverse mode, and the ONNX writer; nothing here knows a transformer.
 */
@NullMarked
package io.github.recurrentkif.graph;

import org.jspecify.annotations.NullMarked;
