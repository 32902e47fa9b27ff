"""Several streams in one process: the file that describes them, their turns, their run."""
