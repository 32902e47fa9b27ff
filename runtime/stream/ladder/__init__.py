"""Several restorers of one stream under a budget: the rungs, and when to change between them."""
