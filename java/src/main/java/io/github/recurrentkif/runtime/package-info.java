/** ONNX Runtime through its C interface: sessions whose inputs and outputs are memory of ours. */
@NullMarked
package io.github.recurrentkif.runtime;

import org.jspecify.annotations.NullMarked;
