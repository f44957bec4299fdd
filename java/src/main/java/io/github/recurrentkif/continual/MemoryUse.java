package io.github.recurrentkif.continual;

/** What a method wants done with the samples kept from earlier tasks. */
public enum MemoryUse {
  /** Nothing: none need be kept. */
  NONE,
  /** They are part of each later task's training set; the plan has no memory of its own. */
  MIXED,
  /** They stay apart, and the method asks the plan for updates on them. */
  REPLAYED,
  /** Both: part of each later task's training set, and apart to be asked for. */
  MIXED_AND_REPLAYED,
  /** No memory: the samples of all tasks are learned in the first one, none in the others. */
  ALL_AT_ONCE
}
