"""The keys of a camera in a TOML file: what each may hold, and which field it becomes."""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from crispstream.core.errors import UsageError
from crispstream.core.registry import did_you_mean
from crispstream.core.sizes import Size, parse_size
from crispstream.core.uris import masked
from crispstream.runtime.engine.available import BACKENDS
from crispstream.runtime.stream.sink import CODECS, ENCODERS
from crispstream.runtime.stream.slot import POLICIES
from crispstream.runtime.stream.source import DECODERS

PRECISIONS = ("fp32", "fp16", "int8", "int8-cpu")
CAMERA, SOURCE, SINK = "camera", "source", "sink"
"""Whose field a key is: the camera's own, or its source's or sinks' options'."""


class UnfitError(ValueError):
    """A value that a key cannot take; says what would help, or nothing."""


@dataclass(frozen=True)
class Key:
    """One key."""

    expected: str
    """What it takes, to end the sentence "expected ...", with an example."""
    read: Callable[[Any], Any]
    """Turns what the file says into the field's value, or raises UnfitError."""
    part: str = CAMERA
    field: str = ""
    """Name of the field; by default the key's own."""
    shared: bool = True
    """Whether it may stand outside of the cameras, for all of them."""
    choices: tuple[str, ...] = ()
    """All that it takes, where that is a few words."""


def text(value: Any) -> str:  # noqa: ANN401 - any TOML value
    """Return a text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise UnfitError
    return value


def texts(value: Any) -> tuple[str, ...]:  # noqa: ANN401
    """Return one text or several."""
    values = value if isinstance(value, list) else [value]
    if not values:
        raise UnfitError
    return tuple(text(each) for each in values)


def joined(value: Any) -> str:  # noqa: ANN401
    """Return one text or several, with commas between them."""
    return ",".join(texts(value))


def flag(value: Any) -> bool:  # noqa: ANN401
    """Return true or false."""
    if not isinstance(value, bool):
        raise UnfitError
    return value


def above_zero(value: Any) -> float:  # noqa: ANN401
    """Return a number that is more than 0."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or value <= 0:
        raise UnfitError
    return float(value)


def whole(value: Any) -> int:  # noqa: ANN401
    """Return a whole number of at least 1."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UnfitError
    return value


def size(value: Any) -> Size:  # noqa: ANN401
    """Return (width, height)."""
    try:
        return parse_size(text(value))
    except UsageError as error:
        raise UnfitError from error


def region(value: Any) -> str:  # noqa: ANN401
    """Return a region as it is written."""
    from crispstream.runtime.stream.sources.roi import parse_roi

    try:
        parse_roi(text(value))
    except UsageError as error:
        raise UnfitError from error
    return str(value)


def _one_of(*choices: str) -> Key:
    def read(value: Any) -> str:  # noqa: ANN401
        if value in choices:
            return str(value)
        raise UnfitError(did_you_mean(value, choices) if isinstance(value, str) else "")

    return Key(f"one of {', '.join(choices)}", read, choices=choices)


def _of(part: str, field: str, key: Key) -> Key:
    return replace(key, part=part, field=field)


_A_SIZE = Key('WIDTHxHEIGHT in pixels, such as "640x480"', size)
_A_RATE = Key("a number of frames per second above 0, such as 25", above_zero)
_A_FLAG = Key("true or false", flag)

KEYS: Mapping[str, Key] = {
    "source": Key(
        'an address, a file or a folder, such as "rtsp://127.0.0.1:8554/door"', text, shared=False
    ),
    "sinks": Key(
        'an output or a list of them, such as ["door.mp4", "preview://127.0.0.1:8080"]',
        texts,
        shared=False,
    ),
    "model": Key('a shipped name, the path of a bundle, or bicubic, such as "edge-n"', text),
    "precision": _one_of("auto", *PRECISIONS),
    "backend": _one_of("auto", *BACKENDS),
    "allow_uncertified": _A_FLAG,
    "tile": _A_SIZE,
    "policy": _one_of("auto", *POLICIES),
    "budget_ms": Key("a number of milliseconds above 0, such as 33", above_zero),
    "ladder": Key('rungs, best first, such as ["edge-s", "bicubic"], or "auto", or "off"', joined),
    "limit": Key("a whole number of frames, such as 1000", whole),
    "overwrite": _A_FLAG,
    "input_size": _of(SOURCE, "size", _A_SIZE),
    "input_fps": _of(SOURCE, "frame_rate", _A_RATE),
    "decoder": _of(SOURCE, "decoder", _one_of(*DECODERS)),
    "roi": Key('X,Y,WIDTH,HEIGHT in pixels, such as "160,90,320,180"', region),
    "output_size": _of(SINK, "size", _A_SIZE),
    "output_fps": _of(SINK, "frame_rate", _A_RATE),
    "codec": _of(SINK, "codec", _one_of(*CODECS)),
    "encoder": _of(SINK, "encoder", _one_of(*ENCODERS)),
    "segment_seconds": _of(
        SINK, "segment_seconds", Key("a number of seconds from 1 to 86400, such as 60", above_zero)
    ),
}
"""Keys of a camera; the names are the options of `crispstream run`, with underscores."""

RUN_KEYS: Mapping[str, Key] = {
    "seconds": Key("a number of seconds above 0, such as 3600", above_zero),
    "threads": Key("a whole number of CPU threads, such as 2", whole),
}
"""Keys of the file as a whole."""


def shown(value: Any) -> str:  # noqa: ANN401
    """Return a value as a message may show it.

    >>> shown("fast"), shown(True), shown(["a"]), shown("rtsp://me:secret@host/door")
    ("'fast'", 'true', 'a list', "'rtsp://***@host/door'")
    >>> shown([]), shown(["null://", 3])
    ('an empty list', 'a list with 3 in it')
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"'{masked(value)}'"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list):
        odd = next((each for each in value if not isinstance(each, str) or not each.strip()), None)
        within = "" if odd is None else f" with {shown(odd)} in it"
        return f"a list{within}" if value else "an empty list"
    return "a table" if isinstance(value, dict) else "a date or a time"


def unknown(key: str, known: Iterable[str]) -> str:
    """Return what is said of a key that there is none of.

    >>> unknown("polcy", ["model", "policy"])
    "there is no key 'polcy'; did you mean 'policy'? the keys here are model, policy"
    """
    names = list(known)
    return (
        f"there is no key '{key}'; {did_you_mean(key, names)}the keys here are {', '.join(names)}"
    )


_FLAG = re.compile(r"--([a-z]+(?:-[a-z]+)*)(?: ([a-z0-9-]+))?")
_BESIDE_ITS_KEY = re.compile(r"\b([a-z_]+) \(--[a-z-]+\)")


def in_keys(sentence: str) -> str:
    """Return what is said of the options of a command, said of the keys of a file of cameras.

    >>> in_keys("name another output or add --overwrite")
    'name another output or add overwrite = true'
    >>> in_keys("overwrite (--overwrite) is asked for")
    'overwrite is asked for'
    >>> in_keys("leave out --tile, or take --precision fp32, as in crispstream build --size 8x8")
    'leave out tile, or take precision = "fp32", as in crispstream build --size 8x8'
    """

    def key(flag: re.Match[str]) -> str:
        name, value = flag[1].replace("-", "_"), flag[2]
        if name not in KEYS:
            return flag[0]
        if value in KEYS[name].choices:
            return f'{name} = "{value}"'
        told = f"{name} = true" if KEYS[name] is _A_FLAG else name
        return told if value is None else f"{told} {value}"

    return _FLAG.sub(key, _BESIDE_ITS_KEY.sub(r"\1", sentence))
