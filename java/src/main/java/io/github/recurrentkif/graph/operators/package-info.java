/** The differentiable operators, one class each: forward nodes and vector-Jacobian product. */
@NullMarked
package io.github.recurrentkif.graph.operators;

import org.jspecify.annotations.NullMarked;
