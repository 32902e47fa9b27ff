"""Pools: data sets that a training makes for itself once and keeps in a cache."""

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from crispstream.core.errors import TrainError


def cached_pool(
    kind: str,
    files: Iterable[Iterable[Path]],
    plan: dict[str, Any],
    cache: Path,
    *,
    whole: str,
    make: Callable[[Path], None],
) -> Path:
    """Return the folder of the pool of these files and this plan, made if `cache` lacks it.

    `make` fills the folder that it is given, which is not there yet, and writes the file `whole`
    last: where that is, a pool is whole. A pool that fails leaves nothing in `cache`.

    Raises:
        TrainError: if `cache` cannot be written; otherwise what `make` raises.
    """
    target = cache / f"{kind}-{_key(files, plan)}"
    if (target / whole).exists():
        return target
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{kind}-", dir=cache) as scratch:
            made = Path(scratch) / "pool"
            make(made)
            _publish(made, target, whole)
    except OSError as error:
        raise TrainError(
            f"cannot keep the training crops in '{cache}' ({error.strerror or error}); choose a "
            "place with more room with --cache"
        ) from error
    return target


def _publish(made: Path, target: Path, whole: str) -> None:
    """Rename the whole pool to its place, unless another training was faster."""
    try:
        made.rename(target)
    except OSError:
        if not (target / whole).exists():
            raise


def _key(files: Iterable[Iterable[Path]], plan: dict[str, Any]) -> str:
    """Return a name that changes with any file, its twins included, and with the plan."""
    marks = [[_mark(path) for path in row] for row in files]
    text = json.dumps([marks, plan], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _mark(path: Path) -> tuple[str, int, int]:
    about = path.stat()
    return path.name, about.st_size, about.st_mtime_ns
