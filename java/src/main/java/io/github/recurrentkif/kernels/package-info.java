/** The operations of the method on flat vectors, behind one interface for every device. */
@NullMarked
package io.github.recurrentkif.kernels;

import org.jspecify.annotations.NullMarked;
