"""Whether an output can be written where it was asked for, and the words for when it cannot."""

import errno
import os
import tempfile
from pathlib import Path

from crispstream.core.errors import SinkError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_ROOM_BYTES = 8 << 20


def check_folder(folder: Path) -> None:
    """Make sure that files can be made in a folder, before any work is spent.

    Tried by making one, since permission bits do not tell about read-only disks.

    Raises:
        SinkError: if the folder is not there or takes no file.
    """
    if not folder.is_dir():
        raise SinkError(f"the folder '{folder}' does not exist; create it or name another output")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise SinkError(
            f"the folder '{folder}' cannot be written ({error.strerror}); change its permissions "
            "or name another output"
        ) from error


def check_room(folder: Path) -> None:
    """Make sure that a folder takes a file worth beginning, some megabytes.

    Raises:
        OSError: if it does not; nothing is left there.
    """
    with tempfile.TemporaryFile(dir=folder) as trial:
        os.posix_fallocate(trial.fileno(), 0, _ROOM_BYTES)


def write_error(path: Path, error: Exception, frames: int) -> SinkError:
    """Return the error for a failed write, in one sentence; `frames` were written before it.

    `error` is an OSError or one of FFmpeg's, which have the same attributes.
    """
    if getattr(error, "errno", None) in _FULL:
        cause = "the disk is full or a limit on file sizes is reached"
        advice = "free space or name an output elsewhere"
    else:
        cause = getattr(error, "strerror", None) or str(error)
        advice = "check the disk or name another output"
    return SinkError(f"'{path}' cannot be written after {frames} frames: {cause}; {advice}")
