"""Video restoration: sources, sinks and the loop between them; imported by `measure` and `cli`."""
