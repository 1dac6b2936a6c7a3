"""From finished trees to training data: pure functions of trees, so that changing a filter costs no search."""
