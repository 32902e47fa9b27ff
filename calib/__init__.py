"""A bundle and frames to an INT8 bundle with its certificate; only cli imports it."""
