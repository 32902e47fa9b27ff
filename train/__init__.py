"""Images to a checkpoint: networks, degradations, training; only export and cli import it."""
