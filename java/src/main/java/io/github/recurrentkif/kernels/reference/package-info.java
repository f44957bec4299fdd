/** The kernels in scalar Java: the specification that every other backend is compared with. */
@NullMarked
package io.github.recurrentkif.kernels.reference;

import org.jspecify.annotations.NullMarked;
