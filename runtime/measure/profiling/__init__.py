"""Where the time of a real stream goes, stage by stage and layer by layer. For pages and cli."""
