"""What cameras do to pictures, in the order they do it. Imported by train/data only."""
