"""Opening a video file: of this machine, or on a web server."""

import logging
import os
from pathlib import Path

import av
import av.error
from av.codec.hwaccel import HWAccel

from crispstream.core.errors import SourceError
from crispstream.core.uris import masked

from .network import opened_address

_SILENT_SECONDS = 5.0
"""A server that sends nothing for so long has failed."""
_RECONNECT = {"reconnect": "1", "reconnect_delay_max": "4"}
"""Servers hang up on whom they find slow, and restoring is; FFmpeg then goes on where it was."""

_log = logging.getLogger("crispstream.stream")


def place_name(place: Path | str) -> str:
    """Return what a file is called in messages, without a password."""
    return str(place) if isinstance(place, Path) else masked(place)


def opened_file(place: Path | str, accelerator: HWAccel | None) -> av.container.InputContainer:
    """Open a file by its path, or by its address on a server.

    Raises:
        SourceError: if it is not there or no video.
    """
    if isinstance(place, Path):
        return _opened_path(place, accelerator)
    return opened_address(place, accelerator, _RECONNECT, _SILENT_SECONDS)


def _opened_path(path: Path, accelerator: HWAccel | None) -> av.container.InputContainer:
    if not os.access(path, os.R_OK):
        raise SourceError(f"'{path}' may not be read; change its permissions")
    if path.stat().st_size == 0:
        raise SourceError(f"'{path}' is an empty file (0 bytes), not a video; copy it again")
    try:
        return av.open(str(path), hwaccel=accelerator)
    except (av.error.FFmpegError, OSError) as error:
        raise SourceError(
            f"'{path}' is not a video FFmpeg can read ({error.strerror}); give a video file such "
            "as .mp4, .mov, .mkv or .avi, complete to its end"
        ) from error
