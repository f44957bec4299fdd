/** Runs as one page to look at: what was learned and forgotten, where, and at what cost. */
@NullMarked
package io.github.recurrentkif.experiment.report;

import org.jspecify.annotations.NullMarked;
