"""The model card of a bundle: the one written by hand, or the facts of the training."""

from pathlib import Path

from crispstream.core.errors import UsageError
from crispstream.train.checkpoint import Checkpoint


def read_card(checkpoint: Checkpoint, path: Path, *, required: bool) -> str:
    """Return the card at `path`; where there is none, one from the checkpoint's own facts.

    Raises:
        UsageError: if `required` and there is no such file.
    """
    if path.is_file():
        return path.read_text(encoding="utf-8")
    if required:
        raise UsageError(f"the model card '{path}' does not exist; write one or leave out --card")
    return facts(checkpoint)


def facts(checkpoint: Checkpoint) -> str:
    """Return a card that says what was trained, how long and on what, and claims no quality."""
    recipe = checkpoint.recipe
    patches = f"LR patches of {recipe.patch_px} px" if recipe.patch_px else "not cut"
    files = "\n".join(f"- {name}" for name in checkpoint.data)
    return (
        f"# {recipe.model}\n\n"
        f"Trained for {checkpoint.steps_done} steps of {recipe.batch} samples, {patches}, "
        f"learning rate {recipe.learning_rate:g} at most.\n"
        "Quality was not measured: run `crispstream evaluate` and write it here.\n\n"
        f"## Data\n\n{files}\n"
    )
