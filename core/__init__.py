"""Facts every stage shares: errors, bundle, pixel maths, metrics; any stage may import it."""
