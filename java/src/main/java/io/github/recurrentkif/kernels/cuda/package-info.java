/** The kernels on a GPU: the CUDA code of {@code cuda-kernels/}, as PTX, by the driver. */
@NullMarked
package io.github.recurrentkif.kernels.cuda;

import org.jspecify.annotations.NullMarked;
