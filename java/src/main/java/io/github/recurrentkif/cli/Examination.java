package io.github.recurrentkif.cli;

import java.util.List;

/** One section of {@code kif doctor}. */
public interface Examination {

  /** The heading of the section. */
  String title();

  /** Looks now; what it finds is in the order to be shown. */
  List<Finding> findings();
}
