"""Names and paths to bundles."""

import shlex
from pathlib import Path

from crispstream.core.bundle import Bundle
from crispstream.core.errors import UsageError
from crispstream.core.registry import did_you_mean

BUNDLES = Path(__file__).parents[1] / "bundles"
"""The shipped bundles, one folder each; package data, read-only."""


def shipped_names() -> list[str]:
    """Return the names of the bundles that came with the package, sorted."""
    return sorted(found.parent.name for found in BUNDLES.glob("*/bundle.json"))


def find_model(name_or_path: str | Path) -> Bundle:
    """Load a shipped bundle by its name, or any bundle by its folder.

    A shipped name wins over a folder of the same name; write "./edge-n" for the folder.

    Raises:
        UsageError: if there is neither, naming the shipped bundles.
        BundleError: if the bundle is damaged.
    """
    text, path = str(name_or_path), Path(name_or_path)
    if text == "bicubic":
        raise UsageError("bicubic is computed and has no bundle; name a model or a bundle's path")
    names = shipped_names()
    if text in names:
        return Bundle.load(BUNDLES / text)
    if path.is_dir():
        return Bundle.load(path)
    if path.exists() and path.suffix == ".engine":
        raise UsageError(
            f"{path} is an engine; keep it with: crispstream engines add {shlex.quote(text)}, and "
            "then give the name or the bundle of the model that it was built from"
        )
    if path.exists():
        raise UsageError(
            f"{path} is a file; a bundle is a folder with a bundle.json, "
            "made by: crispstream export"
        )
    hint = did_you_mean(text, [*names, "bicubic"])
    known = ", ".join([*names, "bicubic"])
    raise UsageError(
        f"there is no model '{text}'; {hint}give one of {known}, or the path of a bundle"
    )
