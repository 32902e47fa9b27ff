"""Engines kept on this machine, with what is known of each. For obtain and cli."""
