"""Where the kit keeps what it makes on a machine, and what a killed process left there.

<cache>/
  engines/     NAME.engine and NAME.engine.json
  quarantine/  NAME/: engines that failed their re-check, with the evidence
  timing/      what builders measured of kernels
  runtime/     kernels that TensorRT-RTX compiled for one GPU
  suites/      benchmarks that `data build` made
  locks/       one file for each engine that was built; `prune` removes the old ones
"""

import contextlib
import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from crispstream.core.errors import UsageError

VARIABLE = "CRISPSTREAM_CACHE"
"""Environment variable that names the cache folder."""

DAY_SECONDS = 86_400
_STAGE = re.compile(r"\.adding-(?P<pid>\d+)-(?P<host>.+)-[^-]+")


def cache_folder() -> Path:
    """Return the kit's cache folder, which may not exist.

    CRISPSTREAM_CACHE if it is set; else `crispstream` in XDG_CACHE_HOME, if that is an absolute
    path as the XDG Base Directory rules demand; else `~/.cache/crispstream`.

    Raises:
        UsageError: if none is set and the user has no home folder.
    """
    if named := os.environ.get(VARIABLE):
        return Path(named).expanduser().absolute()
    shared = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if shared.is_absolute():
        return shared / "crispstream"
    try:
        return Path.home() / ".cache" / "crispstream"
    except RuntimeError as error:
        raise UsageError(
            f"this user has no home folder to keep engines in; set {VARIABLE} to a folder"
        ) from error


def listed(folder: Path) -> list[Path]:
    """Return what lies in a folder, by name; [] if there is none or it cannot be read."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


@contextlib.contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """Give an empty folder inside `folder` to write files in that are then renamed out of it.

    It is gone afterwards; if the process is killed before, `sweep` knows whose it was.

    Raises:
        OSError: if nothing can be written there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    prefix = f".adding-{os.getpid()}-{_host()}-"
    stage = Path(tempfile.mkdtemp(dir=folder, prefix=prefix))
    try:
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Remove what processes that were killed left half written in `folder`.

    That is any hidden file or folder of a process that is gone from this machine, or older than a
    day, and sidecars older than a day whose engine never came. Fails silently: what cannot be
    removed harms nothing.
    """
    for path in listed(folder):
        hidden = path.name.startswith(".")
        lone = path.name.endswith(".engine.json") and not path.with_suffix("").exists()
        if (hidden and _writer_is_gone(path.name)) or ((hidden or lone) and is_old(path)):
            _remove(path)


def _writer_is_gone(name: str) -> bool:
    match = _STAGE.fullmatch(name)
    if not match or match["host"] != _host():  # the numbers of other machines tell nothing here
        return False
    try:
        os.kill(int(match["pid"]), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def is_old(path: Path) -> bool:
    """Return whether a file or folder was last changed more than a day ago."""
    try:
        return time.time() - path.lstat().st_mtime > DAY_SECONDS
    except OSError:
        return False


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    with contextlib.suppress(OSError):
        path.unlink()


def _host() -> str:
    return re.sub(r"[^\w.]", "_", socket.gethostname()) or "host"
