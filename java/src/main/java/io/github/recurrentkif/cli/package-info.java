/** The command line. */
@NullMarked
package io.github.recurrentkif.cli;

import org.jspecify.annotations.NullMarked;
