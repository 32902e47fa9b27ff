"""Two records of one kind beside each other: what changed, how sure that is. For pages and cli."""
