"""Why the system refuses a folder, in a clause, and what to do about it."""

import errno
import os
from pathlib import Path

from crispstream.core.files import write_atomically

from .places import VARIABLE, staged

_PLAINER = {
    errno.ENOENT: "no folder can be made there",
    errno.EEXIST: "a file is where a folder must be",
    errno.ENOTDIR: "a file is where a folder must be",
}
_FULL = (errno.ENOSPC, errno.EDQUOT)
_TRIAL_BYTES = 4096


def reason_of(error: OSError) -> str:
    """Return the system's words without its number: "Permission denied".

    >>> reason_of(OSError(13, "Permission denied")), reason_of(OSError("gone"))
    ('Permission denied', 'gone')
    """
    return error.strerror or str(error)


def refusal_reason(error: OSError) -> str:
    """Return why nothing can be written somewhere; see `reason_of`.

    >>> refusal_reason(OSError(20, "Not a directory"))
    'a file is where a folder must be'
    """
    return _PLAINER.get(error.errno or 0, reason_of(error))


def remedy_for(error: OSError) -> str:
    """Return what to do if the cache folder cannot be written."""
    other = f"set {VARIABLE} to a folder that can be written"
    return f"free some space there, or {other}" if error.errno in _FULL else other


def refusal_of(folder: Path) -> str:
    """Return why no file can be kept in a folder that may not exist yet, "" if one can.

    A small file is written where the folder is, or would be made, and removed again: what may be
    written is known only then, for a superuser, a full disk or /proc.
    """
    there = next(each for each in (folder, *folder.parents) if os.path.lexists(each))
    try:
        with staged(there) as stage:
            write_atomically(stage / "trial", bytes(_TRIAL_BYTES))
    except OSError as error:
        return refusal_reason(error)
    return ""
