"""Hashes and writes that are whole or not there."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from .errors import UsageError

IMAGE_EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
"""Endings of the still pictures the kit reads and writes."""


def sha256_of(data: bytes) -> str:
    """Return the SHA-256 of `data` as 64 hexadecimal digits.

    >>> sha256_of(b"")[:8]
    'e3b0c442'
    """
    return hashlib.sha256(data).hexdigest()


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to a temporary neighbour, sync it, and rename it to `path`.

    A reader sees the old file or the new one, never half of one.

    Raises:
        OSError: if the folder cannot be written or the disk is full; `path` is then untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())  # mkstemp's 0600 would hide it from other users
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _umask() -> int:
    """Return which permissions new files shall not have."""
    mask = os.umask(0o077)  # it can only be read by setting it: narrow, for other threads' sake
    os.umask(mask)
    return mask


def write_json_atomically(path: Path, content: object) -> None:
    """Write `content` as indented JSON with a final newline; see `write_atomically`."""
    write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())


def refuse_to_replace(directory: Path, *, marker: str, noun: str, overwrite: bool) -> None:
    """Raise UsageError unless a folder of this kind may be written to `directory`.

    `marker` is the file that tells such a folder, `noun` what it is called: "bundle".
    """
    there = next(parent for parent in directory.absolute().parents if parent.exists())
    if not os.access(there, os.W_OK):
        raise UsageError(f"nothing can be written to '{there}'; name another folder")
    if not directory.exists():
        return
    if not overwrite:
        raise UsageError(f"'{directory}' exists; name another folder, or replace it: --overwrite")
    if not (directory / marker).is_file():
        raise UsageError(
            f"'{directory}' exists and is no {noun}, so it is not replaced; name another"
        )


def write_folder_atomically(directory: Path, files: Mapping[str, bytes]) -> None:
    """Write files by their paths beside `directory`, then swap: never is there half a folder.

    Raises:
        OSError: if the disk refuses; `directory` is then untouched.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=directory.parent, prefix=f".{directory.name}."))
    try:
        for name, data in files.items():
            target = temporary / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        temporary.chmod(0o777 & ~_umask())  # mkdtemp's 0700 would hide it from other users
        if directory.exists():
            directory.rename(temporary / ".replaced")
        temporary.rename(directory)
        shutil.rmtree(directory / ".replaced", ignore_errors=True)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
