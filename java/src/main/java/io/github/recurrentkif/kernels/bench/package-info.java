/**
 * The bench of the kernels: checks that contestants give the same bits as the specification, then
 * measures them against each other and against a copy.
 */
@NullMarked
package io.github.recurrentkif.kernels.bench;

import org.jspecify.annotations.NullMarked;
