"""Which kind of sink an address asks for, and that it is not where the frames come from."""

from pathlib import Path

from crispstream.core.errors import UsageError
from crispstream.core.files import IMAGE_EXTENSIONS
from crispstream.core.uris import masked
from crispstream.runtime.stream.source import path_of

VIDEO_EXTENSIONS = (".mp4", ".mov", ".m4v", ".mkv")
SCHEMES = {
    "null": "null",
    "preview": "preview",
    "timecode": "timecode",
    **dict.fromkeys(("rtsp", "rtsps", "rtmp", "rtmps", "udp", "srt"), "push"),
}
"""Scheme of a sink's address -> kind of sink."""
ON_DISK = ("folder", "image", "video")
"""Kinds of sinks whose address is a path."""


def kind_of(uri: str) -> str:
    """Return which kind of sink an address asks for: a value of `SCHEMES`, or one of `ON_DISK`.

    Raises:
        UsageError: if there is none for it.
    """
    scheme, separator, _ = uri.partition("://")
    if separator:
        kind = SCHEMES.get(scheme.lower())
        if kind is None:
            known = ", ".join(f"{name}://" for name in SCHEMES)
            raise UsageError(
                f"'{masked(uri)}' is no kind of sink known here; give a video file, an image, a "
                f"folder, or one of {known}"
            )
        return kind
    path = Path(uri)
    ending = path.suffix.lower()
    if path.is_dir() or not ending:
        return "folder"
    if ending in IMAGE_EXTENSIONS:
        return "image"
    if ending in VIDEO_EXTENSIONS:
        return "video"
    raise UsageError(
        f"'{uri}' ends in {ending}, which cannot be written; end it in one of "
        f"{', '.join((*VIDEO_EXTENSIONS, *IMAGE_EXTENSIONS))}, or in nothing for a folder"
    )


def target_of(uri: str) -> str:
    """Return where an address leads, the same for all its spellings.

    >>> target_of("RTSP://me:secret@host/a/"), target_of("/a/b/../c.mp4")
    ('rtsp://host/a', '/a/c.mp4')
    """
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return str(Path(uri).resolve())
    place = rest.partition("@")[2] or rest
    return f"{scheme.lower()}://{place.rstrip('/')}"


def refuse_the_source(uri: str, source: str) -> None:
    """Raise UsageError if writing to a sink's address would replace what the source reads.

    `source` is an address or a path as `open_source` takes it, or nothing.
    """
    path = path_of(source) if source else None
    if kind_of(uri) not in ON_DISK:
        if target_of(uri) == target_of(source):
            raise UsageError(f"'{masked(uri)}' is the source itself; name another output")
        return
    if path is None:
        return
    output = Path(uri)
    if _same(output, path):
        raise UsageError(f"'{uri}' is the source itself; name another output")
    if output.is_dir() and _same(output, path.parent) and path.suffix.lower() == ".png":
        raise UsageError(f"'{uri}' holds the source '{path}'; name another folder")


def _same(first: Path, second: Path) -> bool:
    if first.exists() and second.exists():
        return first.samefile(second)
    return first.resolve() == second.resolve()
