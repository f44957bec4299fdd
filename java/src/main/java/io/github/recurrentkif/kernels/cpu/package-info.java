/** The kernels on the processor: the C code of {@code native/}, or scalar Java where it is not. */
@NullMarked
package io.github.recurrentkif.kernels.cpu;

import org.jspecify.annotations.NullMarked;
