"""Sources that may break: how they are opened again, watched, and given one line of time."""
