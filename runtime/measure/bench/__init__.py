"""How fast a model runs: variants in turns, times with intervals. For pages, compare and cli."""
