"""What may be asked of the synthetic camera in its URI."""

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from crispstream.core.errors import UsageError
from crispstream.runtime.stream import timecode

_SMALLEST = 16
_USUAL = {
    "size": "320x180",
    "fps": "30",
    "frames": "300",
    "live": "0",
    "timecode": "0",
    "cut": "0",
}
_EXAMPLE = "synth://pattern?size=320x180&fps=30&frames=300"


@dataclass(frozen=True)
class SynthOptions:
    """The options of `synth://pattern?size=320x180&fps=30`, or `synth://?...` for short."""

    width: int
    """Columns, pixels."""
    height: int
    """Rows, pixels."""
    rate: int
    """Frames per second (`fps`)."""
    frames: int | None
    """How many; None: without end, as with a time code unless the URI gives a number."""
    live: bool
    """Paced like a camera; so it is with a time code unless the URI says `live=0`."""
    timecode: bool
    """Whether the frames carry a counter and the time; see `timecode`."""
    cut: int
    """The scene changes after each so many frames; 0: never."""

    @classmethod
    def of(cls, uri: str) -> "SynthOptions":
        """Read them from a URI.

        Raises:
            UsageError: if it names another pattern or has a bad option.

        >>> SynthOptions.of("synth://?fps=60").rate
        60
        """
        given = _given(uri)
        chosen = {**_USUAL, **given}
        width, height = _size(chosen["size"])
        timed = _switch(chosen["timecode"], "timecode")
        if timed:
            _refuse_small(width, height)
        endless = timed and "frames" not in given
        return cls(
            width=width,
            height=height,
            rate=_whole(chosen["fps"], "fps", 1),
            frames=None if endless else _whole(chosen["frames"], "frames", 1),
            live=_switch(given.get("live", chosen["timecode"]), "live"),
            timecode=timed,
            cut=_whole(chosen["cut"], "cut", 0),
        )


def _given(uri: str) -> dict[str, str]:
    parts = urlsplit(uri)
    if parts.netloc not in ("", "pattern") or parts.path:
        raise UsageError(f"'{uri}' names no synthetic source; use {_EXAMPLE}")
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = sorted(set(given) - set(_USUAL))
    if unknown:
        raise UsageError(
            f"'{uri}' has the unknown option '{unknown[0]}'; choose among {', '.join(_USUAL)}, "
            f"as in {_EXAMPLE}"
        )
    return given


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit()) or min(int(width), int(height)) < _SMALLEST:
        raise UsageError(
            f"size is '{text}'; write width x height of at least {_SMALLEST}x{_SMALLEST} px, "
            f"as in {_EXAMPLE}"
        )
    return int(width), int(height)


def _refuse_small(width: int, height: int) -> None:
    if width < timecode.SMALLEST_WIDTH or height < timecode.SMALLEST_HEIGHT:
        raise UsageError(
            f"a time code needs a picture of at least {timecode.SMALLEST_WIDTH}x"
            f"{timecode.SMALLEST_HEIGHT} px, and size is {width}x{height}; ask for a larger one, "
            "as in synth://?timecode=1&size=320x180"
        )


def _whole(text: str, name: str, least: int) -> int:
    if not text.isdigit() or int(text) < least:
        raise UsageError(f"{name} is '{text}'; give a whole number of at least {least}")
    return int(text)


def _switch(text: str, name: str) -> bool:
    if text not in ("0", "1"):
        raise UsageError(f"{name} is '{text}'; choose 0 or 1")
    return text == "1"
