"""The model card of a bundle: the one written by hand, or the facts of the training."""

from pathlib import Path

from crispstream.core.errors import UsageError
from crispstream.train.checkpoint import Checkpoint

CONTACT_SHEET = "contact-sheet.jpg"
"""Pictures before and after, failures included; where the bundle keeps them, beside its card."""

_JPEG = b"\xff\xd8\xff"


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


def read_contact_sheet(path: Path) -> bytes | None:
    """Return the JPEG file at `path`, None where there is none.

    Raises:
        UsageError: if the file is no JPEG.
    """
    if not path.is_file():
        return None
    data = path.read_bytes()
    if not data.startswith(_JPEG):
        raise UsageError(
            f"'{path}' would be the contact sheet of the bundle and is no JPEG file; save it as "
            "one, or move it away from the checkpoint"
        )
    return data


def card_with_sheet(card: str, sheet_name: str) -> str:
    """Return a card that shows the contact sheet as the bundle names it.

    A link to the file beside the checkpoint, `sheet_name`, becomes one to the bundle's; a card
    without either gets one at its end.

    >>> card_with_sheet("![frames](edge-s.jpg)", "edge-s.jpg")
    '![frames](contact-sheet.jpg)'
    """
    linked = card.replace(f"]({sheet_name})", f"]({CONTACT_SHEET})")
    if f"]({CONTACT_SHEET})" in linked:
        return linked
    return f"{linked.rstrip()}\n\n## Pictures\n\n![Frames before and after]({CONTACT_SHEET})\n"


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
