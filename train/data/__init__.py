"""Sharp pictures and the training pairs made of them. Imported by train only."""
