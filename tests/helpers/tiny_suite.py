"""A suite in small: a piece of each kind over a made-up media folder."""

from pathlib import Path

import numpy as np

from crispstream.core.files import sha256_of
from crispstream.train.suite.footage import Exposure, Film, Official, SlowFilm
from crispstream.train.suite.pieces import Crop, Piece
from crispstream.train.suite.stills import Pan, Scene, Sensor, Still, Upscaled
from crispstream.train.suite.suites import Suite

from .media import write_video
from .pictures import soft_picture, write_picture

CROP = Crop("train/stills/a.png", 48, 40, 64, 48)
CLIP, SLOW_CLIP = "video/fast.mp4", "video/film.mp4"
CURVE = "pairs/gopro6_inverse_crf.npy"
SIDES = ("pairs/gopro/blur/p.png", "pairs/gopro/sharp/p.png")
NOISE = Sensor(shot=1e-3, read=4e-3)
PIECES: tuple[Piece, ...] = (
    Still("motion-weak", CROP, path_px=8.0),
    Still("motion-medium", CROP, path_px=16.0),
    Still("motion-strong", CROP, path_px=32.0),
    Still("sharp", CROP),
    Still("noise-low", CROP, path_px=16.0, sensor=NOISE),
    Still("noise-high", CROP, path_px=16.0, stops=-2.0, sensor=NOISE),
    Still("h264-low", CROP, sensor=Sensor(h264_crf=30)),
    Upscaled("upscaled", CROP),
    Exposure("real", CLIP, CURVE, first=1, averaged=3),
    Official("real", *SIDES),
    SlowFilm("clips", CLIP, CURVE, frames=3, every=3, averaged=2),
    Film("clips", Crop(SLOW_CLIP, 0, 0, 64, 48), first=1, frames=3),
    Pan("clips", CROP, 3, (3.0, 1.0), 1.0, 0.001, 0.5, NOISE),
    Scene("still", CROP, "high", 5, NOISE),
)


def write_media(folder: Path) -> dict[str, str]:
    """Write the sources of `PIECES` and return their hashes."""
    write_picture(folder / CROP.source, 1, 160, 176)
    for number, side in enumerate(SIDES):
        write_picture(folder / side, number, 48, 64)
    (folder / "video").mkdir()
    pixels = [np.roll(soft_picture(3, 48, 64), n, axis=1) for n in range(9)]
    for clip in (CLIP, SLOW_CLIP):
        write_video(folder / clip, pixels=pixels, frames=9)
    np.save(folder / CURVE, np.exp(np.linspace(0, 5, 256))[:, None, None].repeat(3, axis=2))
    sources = sorted({source for piece in PIECES for source in piece.sources})
    return {source: sha256_of((folder / source).read_bytes()) for source in sources}


def tiny_suite(folder: Path, pieces: tuple[Piece, ...] = PIECES) -> Suite:
    """Return a suite named as the real one, so that its layout text is known."""
    return Suite("crisp-v1", pieces, write_media(folder), {})
