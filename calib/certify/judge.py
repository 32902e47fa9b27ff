"""What a graph does to pairs, set against the fp32 graph of the same bundle.

Restored frames are bytes; colour drift and flicker are in grey levels. What a recurrent graph
makes of a frame depends on those before it, so it is judged on the last frame of a sequence that
arrives at a pair's frame, see `core.sequences`; each graph carries what it made itself.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from crispstream.calib.quantise.observe import session_of
from crispstream.core.metrics import mean_of, psnr_db, ssim
from crispstream.core.pixels import Bytes, round_to_bytes
from crispstream.core.sequences import arriving, results
from crispstream.core.tensors import RESTORED

from .pairs import Fitted

Restore = Callable[[Iterable[Bytes]], Iterator[Bytes]]
"""Frames [H,W,3] that follow each other -> restored frames [4H,4W,3]."""

STILL_FRAMES = 6
STILL_NOISE_LEVELS = 2.0
"""Flicker is judged on a still scene under so much sensor noise: of equal frames any network
makes equal ones."""


@dataclass(frozen=True)
class Judged:
    """Figures of one graph over all pairs. Losses are fp32's figure less this graph's."""

    frames: int
    psnr_db: float
    ssim: float
    psnr_loss_db: float
    ssim_loss: float
    psnr_to_fp32_db: float
    ssim_to_fp32: float
    worst_frame: str
    """The pair that loses most PSNR."""
    worst_frame_loss_db: float
    colour_drift_levels: tuple[float, float, float]
    """Mean change of blue, green and red from fp32, over all frames."""
    largest_colour_drift_levels: float
    """The largest of a channel's mean changes in one frame, without its sign."""
    flicker_levels: float
    """Standard deviation over time of a pixel of a still, noisy scene, mean over pixels."""
    flicker_fp32_levels: float


def restorer_of(onnx_bytes: bytes, *, literally: bool) -> Restore:
    """Return a graph as a function; `literally` as in `session_of`."""
    session = session_of(onnx_bytes, literally=literally)

    def restore(frames: Iterable[Bytes]) -> Iterator[Bytes]:
        return (np.asarray(made[0][0], np.uint8) for made in results(session, frames, [RESTORED]))

    return restore


def last_restored(restore: Restore, frame_hwc: Bytes, frames: int) -> Bytes:
    """Return what is made of a frame that is the last of so many, or alone."""
    *_, last = restore(arriving(frame_hwc, frames))
    return last


@dataclass(frozen=True)
class Yardstick:
    """What the fp32 graph does to pairs: computed once, whatever is judged beside it."""

    pairs: Sequence[Fitted]
    restored: Sequence[Bytes]
    psnr_db: Sequence[float]
    ssim: Sequence[float]
    flicker_levels: float
    frames: int
    """The place in a sequence that is judged, from 1: 1 is a frame alone."""


def yardstick_of(exact: Restore, pairs: Sequence[Fitted], frames: int = 1) -> Yardstick:
    """Run the fp32 graph on all pairs, each the last of a sequence of so many frames."""
    restored = [pair.judged(last_restored(exact, pair.frame, frames)).copy() for pair in pairs]
    both = list(zip(restored, pairs, strict=True))
    return Yardstick(
        pairs,
        restored,
        [psnr_db(image, pair.truth) for image, pair in both],
        [ssim(image, pair.truth) for image, pair in both],
        flicker_levels(exact, pairs[0].frame, after=frames - 1),
        frames,
    )


def judge(restore: Restore, fp32: Yardstick) -> Judged:
    """Return the figures of `restore`, a graph, beside the fp32 graph."""
    rows = [_row(restore, fp32, index) for index in range(len(fp32.pairs))]
    worst = max(zip(fp32.pairs, rows, strict=True), key=lambda both: both[1].psnr_loss_db)
    drifts = np.array([row.drift_levels for row in rows])
    return Judged(
        frames=len(rows),
        psnr_db=mean_of([row.psnr_db for row in rows]),
        ssim=mean_of([row.ssim for row in rows]),
        psnr_loss_db=mean_of([row.psnr_loss_db for row in rows]),
        ssim_loss=mean_of([row.ssim_loss for row in rows]),
        psnr_to_fp32_db=mean_of([row.psnr_to_fp32_db for row in rows]),
        ssim_to_fp32=mean_of([row.ssim_to_fp32 for row in rows]),
        worst_frame=worst[0].name,
        worst_frame_loss_db=worst[1].psnr_loss_db,
        colour_drift_levels=tuple(float(mean) for mean in drifts.mean(0)),  # type: ignore[arg-type]
        largest_colour_drift_levels=float(np.abs(drifts).max()),
        flicker_levels=flicker_levels(restore, fp32.pairs[0].frame, after=fp32.frames - 1),
        flicker_fp32_levels=fp32.flicker_levels,
    )


@dataclass(frozen=True)
class _Row:
    psnr_db: float
    ssim: float
    psnr_loss_db: float
    ssim_loss: float
    psnr_to_fp32_db: float
    ssim_to_fp32: float
    drift_levels: Sequence[float]


def _row(restore: Restore, fp32: Yardstick, index: int) -> _Row:
    pair, theirs = fp32.pairs[index], fp32.restored[index]
    ours = pair.judged(last_restored(restore, pair.frame, fp32.frames))
    change = ours.astype(np.float64) - theirs
    psnr, similarity = psnr_db(ours, pair.truth), ssim(ours, pair.truth)
    return _Row(
        psnr,
        similarity,
        _less(fp32.psnr_db[index], psnr),
        fp32.ssim[index] - similarity,
        psnr_db(ours, theirs),
        ssim(ours, theirs),
        [float(mean) for mean in change.mean((0, 1))],
    )


def _less(a_db: float, b_db: float) -> float:
    """Return a - b, 0 where both are infinite: two exact frames."""
    return 0.0 if a_db == b_db else a_db - b_db


def flicker_levels(restore: Restore, frame_hwc: Bytes, after: int = 0) -> float:
    """Return how much the pixels of a still scene move, grey levels; the noise is the same for all.

    Standard deviation over `STILL_FRAMES` restored frames, mean over pixels and channels. `after`
    frames come before them: what a recurrent graph makes of its first ones is no flicker.
    """
    noise = np.random.default_rng(0)
    noisy = (
        round_to_bytes(frame_hwc + noise.normal(0, STILL_NOISE_LEVELS, frame_hwc.shape))
        for _ in range(after + STILL_FRAMES)
    )
    restored = list(islice(restore(noisy), after, None))
    return float(np.std(np.stack(restored), axis=0, dtype=np.float32).mean())
