"""Is this machine fit to run the kit: checks, each with its fix. Imported by `cli` only."""
