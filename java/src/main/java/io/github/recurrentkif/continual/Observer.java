package io.github.recurrentkif.continual;

/** Watches a method learn. */
public interface Observer {

  /** Called in the thread that learns, at each event. */
  void on(LearningEvent event);

  /**
   * Asked after each update on new data, when any fusion that follows it is done and a checkpoint
   * can be taken.
   *
   * @param completed updates on new data in this task
   * @return whether to stop here
   */
  default boolean stopsAfter(long completed) {
    return false;
  }

  /** An observer that looks away. */
  static Observer none() {
    return event -> {};
  }
}
