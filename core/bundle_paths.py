"""Paths of a bundle's files, none of which may lead out of its folder."""

from pathlib import Path, PurePosixPath

from .errors import BundleError


def inside(root: Path, name: str) -> Path:
    """Return the path of a file of the bundle at `root`; links may not lead out either.

    Raises:
        BundleError: if the path or a link leaves the folder.
    """
    path = root / inward(root, name)
    if not path.resolve().is_relative_to(root.resolve()):
        raise _leads_out(root, name)
    return path


def inward(root: Path, name: str) -> PurePosixPath:
    """Return the path of a file in a bundle that is not there yet, where no link can be.

    Raises:
        BundleError: if the path leaves the folder.
    """
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts:
        raise _leads_out(root, name)
    return pure


def _leads_out(root: Path, name: str) -> BundleError:
    return BundleError(
        f"'{name}' leads out of the bundle '{root}'; do not use a bundle that asks for that"
    )
