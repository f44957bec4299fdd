package io.github.recurrentkif.data;

/** The three parts of a task; each is a folder of the data folder. */
public enum Split {
  TRAIN("train"),
  DEVELOPMENT("dev"),
  TEST("test");

  private final String folder;

  Split(String folder) {
    this.folder = folder;
  }

  /** The name of its folder. */
  public String folder() {
    return folder;
  }
}
