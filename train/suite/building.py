"""Building a suite from the media folder: the same files every time."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from crispstream.core.errors import UsageError
from crispstream.core.files import sha256_of
from crispstream.core.layouts import LAYOUTS
from crispstream.train.data.built import Array, Item, build_set
from crispstream.train.data.layout import refuse_gaps

from .pieces import Piece
from .suites import Suite


def build(
    suite: Suite,
    src: Path,
    dst: Path,
    *,
    workers: int = 1,
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Make the pictures of all pieces from the media folder `src` below `dst`; return `dst`.

    Raises:
        UsageError: if a source is missing or another file than the suite names, or `dst` holds
            something else.
        TrainError: if a source cannot be decoded or `dst` cannot be written.
    """
    _check_sources(suite, src)
    pieces = {piece.name: piece for piece in suite.pieces}
    items = [
        Item(name, tuple(src / source for source in piece.sources))
        for name, piece in pieces.items()
    ]
    make = partial(_make, pieces=pieces)
    settings = {"definition": suite.fingerprint()}
    return build_set(suite.name, items, make, settings, dst, workers=workers, progress=progress)


def _make(item: Item, pieces: Mapping[str, Piece]) -> Mapping[str, Array]:
    return pieces[item.name].make(item.sources)


def _check_sources(suite: Suite, src: Path) -> None:
    """Refuse other files of the same names: what is made of them would be another benchmark."""
    missing = [src / path for path in suite.sources if not (src / path).is_file()]
    refuse_gaps(src, missing, LAYOUTS[suite.name])
    for path, sha256 in suite.sources.items():
        found = sha256_of((src / path).read_bytes())
        if found != sha256:
            raise UsageError(
                f"'{src / path}' has the SHA-256 {found[:16]}..., {suite.name} is made of one with "
                f"{sha256[:16]}...; get the file that docs/benchmark.md names"
            )
