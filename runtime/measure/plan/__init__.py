"""What a device could do at best: the roofline of a graph, layer by layer. For pages and cli."""
