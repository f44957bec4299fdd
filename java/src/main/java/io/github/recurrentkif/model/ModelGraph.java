package io.github.recurrentkif.model;

import io.github.recurrentkif.graph.Graph;
import java.util.List;

/** One graph of a model, with the dropouts whose masks it takes as inputs. */
public record ModelGraph(String name, Graph graph, List<DropoutPlace> dropoutPlaces) {

  public ModelGraph {
    dropoutPlaces = List.copyOf(dropoutPlaces);
  }
}
