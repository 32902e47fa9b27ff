"""The frames that engine_limits.py measures on: check frames, real, treated and drawn ones.

All but the check frames are 320x180. Shape letters: H height, W width, 3 channels in BGR order.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from common import SAMPLE, sample_frames

from crispstream.core.bundle import Bundle
from crispstream.core.pixels import Bytes
from crispstream.runtime.stream.source import open_source

WIDTH, HEIGHT = 320, 180
STILLS, CLIPS = "train/stills", "video"
_STILLS_TAKEN = 80
_STILLS_TREATED = slice(0, 60, 5)
_CLIP_FRAMES = slice(0, 51, 25)
_SAMPLE_FRAMES = slice(0, 30, 10)
_FLAT_LEVELS = (0, 1, 16, 128, 235, 254, 255)
_COLOURS_BGR = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 255, 255))


class Picture(NamedTuple):
    """A frame and what it is called in a result."""

    name: str
    frame_hwc: Bytes


def check_frames(bundle: Bundle) -> list[Picture]:
    """Return a bundle's own."""
    return [
        Picture(PurePosixPath(name).stem, _decoded(bundle.file_bytes(name)))
        for name in bundle.check_frames()
    ]


def sample() -> list[Picture]:
    """Return three frames of the sample clip, the only real ones without the data folder."""
    frames = [Picture(f"{SAMPLE.stem} {n}", frame) for n, frame in enumerate(sample_frames())]
    return frames[_SAMPLE_FRAMES]


def stills(data: Path) -> list[Picture]:
    """Return sharp stills made small, none where the folder is missing."""
    paths = sorted((data / STILLS).glob("*.jpg"))[:_STILLS_TAKEN]
    return [Picture(path.stem, _filled(_decoded(path.read_bytes()))) for path in paths]


def clips(data: Path) -> list[Picture]:
    """Return up to three frames of each clip made small, none where the folder is missing."""
    return [picture for path in sorted((data / CLIPS).glob("*.mp4")) for picture in _of_clip(path)]


def left_out(data: Path) -> list[str]:
    """Return what is missing of the real frames, with the reason."""
    needed = ((STILLS, "*.jpg"), (CLIPS, "*.mp4"))
    return [
        f"{data / folder}: no {shape} there"
        for folder, shape in needed
        if not any((data / folder).glob(shape))
    ]


def treated(check: Sequence[Picture], from_stills: Sequence[Picture]) -> list[Picture]:
    """Return check frames and some stills made dark, bright, blown out, noisy and blurred."""
    rng = np.random.default_rng(1)
    pictures = (*check, *from_stills[_STILLS_TREATED])
    return [each for picture in pictures for each in _treated(picture, rng)]


def _treated(picture: Picture, rng: np.random.Generator) -> Iterator[Picture]:
    name, frame = picture
    for gain, noise in ((0.03, 2), (0.1, 3), (0.3, 6)):
        yield Picture(f"{name} x{gain}", _bytes(frame * gain + rng.normal(0, noise, frame.shape)))
    yield Picture(f"{name} bright", _bytes(frame + 120.0))
    yield Picture(f"{name} blown out", _bytes(frame * 4.0))
    yield Picture(f"{name} noisy", _bytes(frame + rng.normal(0, 40, frame.shape)))
    yield Picture(f"{name} blurred", np.asarray(cv2.GaussianBlur(frame, (0, 0), 5), np.uint8))


def drawn() -> list[Picture]:
    """Return what no camera gives: plain colours, noise, checks, bars, a ramp, a test pattern."""
    rng = np.random.default_rng(0)
    shape = (HEIGHT, WIDTH)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    source = open_source(f"synth://pattern?size={WIDTH}x{HEIGHT}&frames=60")
    found = [
        *(Picture(f"flat {v}", np.full((*shape, 3), v, np.uint8)) for v in _FLAT_LEVELS),
        Picture("noise", rng.integers(0, 256, (*shape, 3), np.uint8)),
        Picture("noise of 0 and 255", _bytes(255 * rng.integers(0, 2, (*shape, 3)))),
        Picture("grey noise of 0 and 255", _grey(255 * rng.integers(0, 2, shape))),
        *(
            Picture(f"checks {p}", _grey(255 * ((x // p + y // p) % 2)))
            for p in (1, 2, 3, 4, 8, 16)
        ),
        *(Picture(f"bars {p}", _grey(255 * (x // p % 2))) for p in (2, 4)),
        Picture("ramp", _grey(x * 255 // (WIDTH - 1))),
        *(Picture(f"colour {c}", np.full((*shape, 3), c, np.uint8)) for c in _COLOURS_BGR),
        *(Picture(f"pattern {f.serial}", f.pixels_hwc) for f in islice(source, 0, None, 20)),
    ]
    source.close()
    return found


def _of_clip(path: Path) -> list[Picture]:
    source = open_source(str(path))
    wanted = _CLIP_FRAMES
    chosen = islice(source, wanted.start, wanted.stop, wanted.step)
    found = [Picture(f"{path.stem} {f.serial}", _filled(f.pixels_hwc)) for f in chosen]
    source.close()
    return found


def _decoded(file_bytes: bytes) -> Bytes:
    frame = cv2.imdecode(np.frombuffer(file_bytes, np.uint8), cv2.IMREAD_COLOR)
    if frame is None:
        raise SystemExit("a picture of the bundle or the data folder cannot be decoded")
    return np.asarray(frame, np.uint8)


def _filled(picture_hwc: Bytes) -> Bytes:
    """Return the top left of a picture that was made just large enough for 320x180."""
    height, width, _ = picture_hwc.shape
    scale = max(WIDTH / width, HEIGHT / height)
    size = (max(WIDTH, round(width * scale)), max(HEIGHT, round(height * scale)))
    small = cv2.resize(picture_hwc, size, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(small[:HEIGHT, :WIDTH], np.uint8)


def _bytes(values: npt.NDArray[np.generic]) -> Bytes:
    return np.asarray(np.clip(values, 0, 255), np.uint8)


def _grey(values: npt.NDArray[np.generic]) -> Bytes:
    return np.repeat(_bytes(values)[..., None], 3, axis=2)
