/** Benchmarks of the kernels under JMH, one class for each question. */
@NullMarked
package io.github.recurrentkif.bench;

import org.jspecify.annotations.NullMarked;
