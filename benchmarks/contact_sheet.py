"""Contact sheets: what a model makes of each kind of frame, beside bicubic and the truth.

Rows are samples of the built suite crisp-v1, all of sources that are never learnt from; the last
two are where the model gained least or lost most against bicubic, found anew for each model.
Faces and text are for the eye: figures do not say what happens to them.

Shape letters: H height, W width, 3 channels in BGR order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from torch import nn

from crispstream.core.bicubic import upscale_x4
from crispstream.core.errors import UsageError
from crispstream.core.metrics import psnr_db
from crispstream.core.pixels import Bytes, round_to_bytes
from crispstream.train.data.layout import images_in, read_image
from crispstream.train.models.edge_recurrent import RecurrentEdge
from crispstream.train.restoring import restoring
from crispstream.train.suite.optics import GAMMA
from crispstream.train.suite.stateful import Stateful

SIDE_PX = 200
"""Side of a crop, in pixels of the restored frame."""
GAP_PX, CAPTION_PX, HEAD_PX, MARGIN_PX = 4, 30, 40, 16
BLOCKS = 2
"""Columns of rows, so that the sheet fits a page."""
FAILURES = 2
"""Rows for the worst samples, each of another part of the suite."""
LARGEST_BYTES = 250_000
BEST_QUALITY, WORST_QUALITY = 85, 50
SAME_DB = 0.02
"""What the PSNR of the same weights may differ by, from machine to machine."""
INK, FAINT = (40, 40, 40), (130, 130, 130)


@dataclass(frozen=True)
class View:
    """A row: a sample of the suite, and the square of it that is shown."""

    title: str
    sample: str
    """PART/NAME, or PART/SEQUENCE#FRAME."""
    left_px: int
    top_px: int
    shown_stops: float = 0.0
    """How much brighter it is shown than it is, in powers of two of light."""


_FAST = "real/gopro_GOPR0477_11_00_240fps_720p"

VIEWS = (
    View("Real blur, 15 frames of a 240 fps camera", f"{_FAST}_n15_f270", 1060, 10),
    View("Text, real blur, 7 frames", f"{_FAST}_n07_f270", 215, 0),
    View("Text, motion of 8 px", "motion-weak/elementary_barn_grafitti", 80, 150),
    View("Face, motion of 8 px", "motion-weak/skimage_astronaut", 100, 0),
    View("Face, motion of 16 px", "motion-medium/skimage_astronaut", 100, 0),
    View("Motion of 16 px", "motion-medium/brighton_dji_0031", 95, 25),
    View("Motion of 32 px", "motion-strong/osfm_berlin_02", 190, 165),
    View("Moving clip, 12th frame", "clips/gopro_GOPR0477_11_00_240fps_720p#11", 730, 265),
    View("Sharp", "sharp/budgie_singaporean_cityscape", 180, 60),
    View("Four stops too dark, shown brighter", "dark/skimage_coffee", 180, 60, 4.0),
    View("One stop too bright", "bright/osfm_berlin_02", 190, 165),
    View("Noisy", "noise-high/skimage_astronaut", 60, 240),
    View("H.264 at a low rate", "h264-low/budgie_casa_mila", 200, 40),
    View("Already enlarged by 4", "upscaled/brighton_dji_0031", 95, 25),
)


def sheet(name: str, network: nn.Module, suite: Path, figures: Mapping[str, Any]) -> Bytes:
    """Return the contact sheet [H,W,3] of a network whose figures on the suite are `figures`."""
    parts = [of_it for part, of_it in figures.items() if part != "summary"]
    single = [of_it for of_it in parts if "#" not in of_it["worst"]]  # clips repeat what is real
    worst = sorted(single, key=lambda of_it: float(of_it["worst_gain_db"]))[:FAILURES]
    views = [*VIEWS, *(worst_view(network, suite, of_it) for of_it in worst)]
    strips = [_strip(view, name, network, suite) for view in views]
    rows = -(-len(strips) // BLOCKS)
    blank = np.full_like(strips[0], 255)
    strips += [blank] * (rows * BLOCKS - len(strips))
    columns = [np.vstack([_head(name), *strips[k * rows : (k + 1) * rows]]) for k in range(BLOCKS)]
    gutter = np.full((columns[0].shape[0], 2 * MARGIN_PX, 3), 255, np.uint8)
    whole = np.hstack([columns[0], *(part for column in columns[1:] for part in (gutter, column))])
    return np.pad(whole, ((MARGIN_PX,) * 2, (MARGIN_PX,) * 2, (0, 0)), constant_values=255)


def jpeg(picture_hwc: Bytes) -> bytes:
    """Return the picture as a JPEG file of at most `LARGEST_BYTES`, if its quality allows."""
    for quality in range(BEST_QUALITY, WORST_QUALITY - 1, -3):
        options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
        data = bytes(cv2.imencode(".jpg", picture_hwc, options)[1])
        if len(data) <= LARGEST_BYTES:
            break
    return data


def worst_view(network: nn.Module, suite: Path, worst: Mapping[str, Any]) -> View:
    """Return the worst sample of a part, and the square of it in which most is lost.

    Raises:
        UsageError: if the sample is not the one that was judged.
    """
    frames, hr = read_sample(suite, worst["worst"])
    ours, bicubic = restored(network, frames), upscale_x4(frames[-1])
    gain_db = psnr_db(ours, hr) - psnr_db(bicubic, hr)
    if abs(gain_db - worst["worst_gain_db"]) > SAME_DB:
        raise UsageError(
            f"'{worst['worst']}' gains {gain_db:+.2f} dB, the figures say "
            f"{worst['worst_gain_db']:+.2f}: they are of another build of the suite; measure again"
        )
    lost = _error(ours, hr) - _error(bicubic, hr)
    sums = cv2.boxFilter(lost, -1, (SIDE_PX, SIDE_PX), anchor=(0, 0), normalize=False)
    rows, cols = (side - SIDE_PX + 1 for side in hr.shape[:2])
    top, left = np.unravel_index(np.argmax(sums[:rows, :cols]), (rows, cols))
    what = worst["worst"].partition("/")[0]
    stops = next((view.shown_stops for view in VIEWS if view.sample.startswith(f"{what}/")), 0.0)
    return View(f"Worst of {what}", worst["worst"], int(left), int(top), stops)


def _error(one_hwc: Bytes, other_hwc: Bytes) -> np.ndarray:
    difference = one_hwc.astype(np.float64) - other_hwc
    return np.asarray((difference**2).mean(axis=2))


def read_sample(suite: Path, sample: str) -> tuple[list[Bytes], Bytes]:
    """Return the frames of a sample up to the one that is shown, and its truth."""
    place, _, frame = sample.partition("#")
    if frame:
        last = int(frame)
        small, large = (images_in(suite / place / side) for side in ("lr", "hr"))
        return [read_image(p) for p in small[: last + 1]], read_image(
            large[min(last, len(large) - 1)]
        )
    part, stem = place.split("/")
    lr, hr = (read_image(suite / part / side / f"{stem}.png") for side in ("lr", "hr"))
    return [lr], hr


def restored(network: nn.Module, frames: Sequence[Bytes]) -> Bytes:
    """Return the last frame restored; a recurrent network has seen those before."""
    if not isinstance(network, RecurrentEdge):
        return restoring(network)(frames[-1])
    model = Stateful(network)
    return [model.restore(frame) for frame in frames][-1]


def _strip(view: View, name: str, network: nn.Module, suite: Path) -> Bytes:
    """Return a row: three crops side by side, and what they are above them."""
    frames, hr = read_sample(suite, view.sample)
    window = (
        slice(view.top_px, view.top_px + SIDE_PX),
        slice(view.left_px, view.left_px + SIDE_PX),
    )
    crops = [picture[window] for picture in (upscale_x4(frames[-1]), restored(network, frames), hr)]
    bicubic_db, model_db = (psnr_db(crop, crops[2]) for crop in crops[:2])
    shown = [_brighter(crop, view.shown_stops) for crop in crops]
    gap = np.full((SIDE_PX, GAP_PX, 3), 255, np.uint8)
    pictures = np.hstack([part for crop in shown for part in (crop, gap)][:-1])
    caption = np.full((CAPTION_PX, pictures.shape[1], 3), 255, np.uint8)
    _write(caption, view.title, INK)
    _write(caption, f"{bicubic_db:.1f} dB, {name} {model_db - bicubic_db:+.2f}", FAINT, right=True)
    return np.vstack([caption, pictures])


def _brighter(crop_hwc: Bytes, stops: float) -> Bytes:
    """Return the crop as it would be shown with more light."""
    return round_to_bytes(crop_hwc * 2.0 ** (stops / GAMMA)) if stops else crop_hwc


def _head(name: str) -> Bytes:
    """Return the line above the columns."""
    width = 3 * SIDE_PX + 2 * GAP_PX
    head = np.full((HEAD_PX, width, 3), 255, np.uint8)
    for number, text in enumerate(("bicubic", name, "truth")):
        _write(head[:, number * (SIDE_PX + GAP_PX) :], text, INK, scale=0.62)
    cv2.line(head, (0, HEAD_PX - 4), (width, HEAD_PX - 4), FAINT, 1)
    return head


def _write(
    strip_hwc: Bytes,
    text: str,
    colour: tuple[int, int, int],
    *,
    scale: float = 0.46,
    right: bool = False,
) -> None:
    """Write a line at the bottom of a strip, which may be a view, at its left or right end."""
    font = cv2.FONT_HERSHEY_SIMPLEX
    (width, _), _ = cv2.getTextSize(text, font, scale, 1)
    left = strip_hwc.shape[1] - width if right else 0
    line = np.ascontiguousarray(strip_hwc)
    cv2.putText(line, text, (left, strip_hwc.shape[0] - 9), font, scale, colour, 1, cv2.LINE_AA)
    strip_hwc[:] = line
