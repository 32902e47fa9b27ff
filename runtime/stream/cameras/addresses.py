"""Addresses in a file of cameras: their variables, their folders, and what is known of them."""

import glob
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit

from crispstream.core.errors import UsageError
from crispstream.core.registry import did_you_mean
from crispstream.core.uris import masked
from crispstream.runtime.stream.source import path_of
from crispstream.runtime.stream.sources.synth_options import SynthOptions

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_WITH_USER = re.compile(r"([A-Za-z][\w+.-]*://)([^/?#]*)(@.*)", re.DOTALL)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
"""Two letters at least: `C:\\clips` is a path."""
LOCAL_SCHEMES = ("file", "v4l2", "csi", "gst", "synth")
"""Of sources that need no network."""
_KEEPS_NOTHING = ("null", "timecode")


def expanded(uri: str, environ: Mapping[str, str]) -> str:
    """Return an address with the values of its variables in place of `${NAME}`.

    What stands for a user or a password is encoded as an address demands, so that it may hold
    any character, and so that logs know where it ends and leave it out.

    >>> expanded("rtsp://me:${WORD}@host/${PATH}", {"WORD": "p@ss/1", "PATH": "a/b"})
    'rtsp://me:p%40ss%2F1@host/a/b'

    Raises:
        UsageError: if a variable is not set, or its value would be seen in the process list.
    """
    parts = _WITH_USER.fullmatch(uri)
    if _VARIABLE.search(uri) and _filled(uri, environ).startswith("gst:"):
        raise UsageError(
            "the text of a pipeline can be read by everybody who lists the processes, and with it "
            "the value of the variable; read the camera by its rtsp:// address, or let the "
            "pipeline do without"
        )
    if parts is None:
        return _filled(uri, environ)
    scheme, user, rest = parts.groups()
    return scheme + _filled(user, environ, encode=True) + _filled(rest, environ)


def _filled(text: str, environ: Mapping[str, str], *, encode: bool = False) -> str:
    def value(reference: re.Match[str]) -> str:
        name = reference[1]
        if name not in environ:
            raise UsageError(f"the variable {name} is not set; set it, as in: export {name}=...")
        return quote(environ[name], safe="") if encode else environ[name]

    return _VARIABLE.sub(value, text)


def beside(folder: Path, uri: str) -> str:
    """Return a path as seen from `folder`; what is no path stays as it is.

    >>> beside(Path("house"), "door.mp4"), beside(Path("house"), "/tmp/door.mp4")
    ('house/door.mp4', '/tmp/door.mp4')
    >>> beside(Path("house"), "gst:videotestsrc"), beside(Path("house"), "0")
    ('gst:videotestsrc', '0')
    """
    if _SCHEME.match(uri) or uri.isdecimal():
        return uri
    return str(folder / uri)


def refuse_unknown_source(uri: str) -> None:
    """Raise UsageError unless the address begins as one of a source does."""
    begins = _SCHEME.match(uri)
    scheme = begins[0][:-1].lower() if begins else ""
    if not begins or scheme in LOCAL_SCHEMES:
        return
    from crispstream.runtime.stream.sources.network import SCHEMES

    known = (*LOCAL_SCHEMES, *SCHEMES)
    if scheme not in known:
        raise UsageError(
            f"'{masked(uri)}' is no kind of source known here; {did_you_mean(scheme, known)}give a "
            f"path, or an address that begins with one of {', '.join(f'{it}:' for it in known)}"
        )


def refuse_missing_source(uri: str) -> None:
    """Raise UsageError or SourceError if a source is a path at which there is nothing to read."""
    path = path_of(uri)
    if path is None or path.exists():
        return
    if not glob.has_magic(str(path)):
        raise UsageError(f"there is no file or folder '{path}'; check the path of the source")
    from crispstream.runtime.stream.sources.folder import image_paths

    image_paths(str(path))


def waits(uri: str) -> bool:
    """Return whether a source is known to wait until it is read, as a file does.

    >>> waits("clip.mp4"), waits("synth://?fps=30"), waits("synth://?live=1"), waits("rtsp://host")
    (True, True, False, False)

    Raises:
        UsageError: if it is a synthetic source with a bad option.
    """
    if uri.startswith("synth:"):
        return not SynthOptions.of(uri).live
    return path_of(uri) is not None


def target(sink: str) -> str | None:
    """Return what two outputs must not both write to; None where any number may.

    >>> target("null://"), target("preview://127.0.0.1:8080/"), target("/a/b/../c.mp4")
    (None, 'preview://127.0.0.1:8080', '/a/c.mp4')
    """
    if not _SCHEME.match(sink):
        return str(Path(sink).resolve())
    address = urlsplit(sink)
    if address.scheme in _KEEPS_NOTHING or address.netloc.endswith(":0"):
        return None  # of a port 0 the system makes a free one
    return sink.rstrip("/")
