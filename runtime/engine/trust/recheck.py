"""Does a fresh engine compute what its graph says? Judged on the device, on real frames.

A certificate says what a graph does on a CPU. What a builder made of it for one GPU, at one size,
is known only there: so the check frames of the bundle are run through the engine and through fp32
on ONNX Runtime's CPU, and the bytes are compared. They are run twice: an engine whose results
change from run to run has a race. Those of recurrent networks are shown short sequences.

Shape letters: H height, W width, 3 channels in BGR order, bytes. Sizes are in pixels.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from crispstream.core.bundle import Bundle, Graph
from crispstream.core.files import sha256_of
from crispstream.core.pixels import CHANNELS, Bytes
from crispstream.core.sizes import Size, SizeRange, size_text
from crispstream.runtime.engine.backends.base import Backend
from crispstream.runtime.engine.backends.onnxruntime import OnnxRuntimeBackend

from .shown import Shown, restored_by, shown_frames

_BAND_ROWS = 256


@dataclass(frozen=True, slots=True)
class Limits:
    """How far an engine's bytes may be from those of fp32, in any one check frame."""

    psnr_db: float
    """At least."""
    largest_levels: int
    """At most, of any byte."""
    changed_share: float
    """At most, of the bytes."""
    drift_levels: float = 0.5
    """At most, of the mean of a channel."""


LIMITS: Mapping[str, Limits] = {
    "fp32": Limits(psnr_db=60, largest_levels=1, changed_share=1e-3),
    "fp16": Limits(psnr_db=50, largest_levels=8, changed_share=0.5),
    "int8": Limits(psnr_db=42, largest_levels=96, changed_share=1),
    "int8-cpu": Limits(psnr_db=42, largest_levels=96, changed_share=1),
}
"""By precision. Measured with both shipped bundles on a CPU, on the 4 check frames, 55 other real
ones and 40 synthetic ones (night, noise, checks), against fp32 on ONNX Runtime; again with
`benchmarks/engine_limits.py`:

- fp32, summed in another order: 1 level, 1.1e-5 of the bytes (6e-5 on synthetic frames). With
  inputs cut to TF32's 10 bits 5e-3 to 8e-3 of the check frames' bytes change, which is refused:
  fp32 is asked for by those who want to compare.
- fp16, every tensor and every partial sum of 4 or 16 products rounded to fp16, worse than any
  hardware: 61 dB, 1 level (57 dB, 2 levels, 11 % of the bytes on synthetic frames).
- int8 on ONNX Runtime: 49.6 dB, 48 levels and a drift of 0.06 on check frames, from 64x48 to
  960x540. Of 109 other real ones at most 4, fine regular patterns, are beyond the limits, down to
  38.5 dB; the rest has 44.4 dB; 71 levels, drift 0.30. Synthetic checks of single pixels are far
  worse and nothing to judge by.

What is broken lies far away: the picture shifted by one of its pixels is at most 39 dB on the
check frames, swapped colours 25 dB, one black square of 16 pixels 130 levels and more, all bytes
one level up 48 dB and a drift of 1.
"""

_BELOW_CERTIFICATE_DB = 8.0
"""An int8 engine may be so far below the PSNR to fp32 in its certificate: check frames were at
most 2.1 dB below it, other real ones 7.6, the 4 patterns 13.9. The certificate of fp16 was made in
fp32 arithmetic and sets no limit."""


class _Figures(NamedTuple):
    """How two restored frames differ."""

    psnr_db: float
    largest_levels: int
    changed_share: float
    drift_levels: tuple[float, float, float]
    """Engine minus fp32, mean of each channel."""


@dataclass(frozen=True)
class Recheck:
    """The verdict on an engine."""

    passed: bool
    reason: str
    """Why it did not pass, "" if it did."""
    figures: Mapping[str, Any]
    """JSON content: size, frames, and the worst figures of any frame."""
    worst: Mapping[str, Bytes] = field(default_factory=dict)
    """The worst frame: `frame` [H,W,3], `expected` and `got` [4H,4W,3]."""

    def as_json(self) -> dict[str, Any]:
        """Return what an engine's record keeps."""
        return {"passed": self.passed, "reason": self.reason, **self.figures}


def recheck(
    bundle: Bundle,
    graph: Graph,
    backend: Backend,
    sizes: SizeRange | Size,
    *,
    reference: Backend | None = None,
) -> Recheck:
    """Run the bundle's check frames through an engine and judge what comes out.

    Args:
        bundle: brings frames, fp32 graph and certificate.
        graph: what the engine was built from.
        backend: holds the engine; buffers of `sizes` are allocated in it, and it stays open.
        sizes: (width, height) of the engine; of a range, the size its kernels were chosen for.
        reference: fp32, by default on ONNX Runtime's CPU.

    Raises:
        BundleError: if the bundle has no check frames or is damaged.
        EngineError: if the engine does not run.
    """
    size = sizes.best if isinstance(sizes, SizeRange) else sizes
    frames = shown_frames(bundle, *size)
    own = reference is None
    fp32 = _reference(bundle) if reference is None else reference
    try:
        return _judged(frames, size, limits_of(bundle, graph), backend, fp32)
    finally:
        if own:
            fp32.close()


def limits_of(bundle: Bundle, graph: Graph) -> Limits:
    """Return the limits for an engine of a graph: those of its certificate, where it has one."""
    limits = LIMITS[graph.precision]
    certified_db = bundle.certificate_of(graph).get("psnr_to_fp32_db")
    if graph.precision.startswith("int8") and isinstance(certified_db, int | float):
        floor_db = max(limits.psnr_db, certified_db - _BELOW_CERTIFICATE_DB)
        return Limits(floor_db, limits.largest_levels, limits.changed_share)
    return limits


def _judged(
    shown: Sequence[Shown], size: Size, limits: Limits, backend: Backend, fp32: Backend
) -> Recheck:
    found: dict[str, _Figures] = {}
    hashes: dict[str, str] = {}
    worst: dict[str, Bytes] = {}
    reason = ""
    lowest = (True, math.inf)
    both = zip(restored_by(backend, shown), restored_by(fp32, shown), strict=True)
    for (name, frame, _), (got, expected) in zip(shown, both, strict=True):
        figures = found[name] = _compared(got, expected)
        hashes[name] = sha256_of(got.tobytes())
        fault = _fault(name, got, expected, figures, limits)
        # The worst is what fails, and of those what is farthest from fp32.
        if not worst or (not fault, figures.psnr_db) < lowest:
            lowest, reason = (not fault, figures.psnr_db), fault
            worst = {"frame": frame, "expected": expected, "got": got}
    again = zip(shown, restored_by(backend, shown, fresh=False), strict=True)
    changed = [one.name for one, got in again if sha256_of(got.tobytes()) != hashes[one.name]]
    if changed and not reason:
        reason = f"the same frame, {changed[0]}, came out with other bytes the second time"
    return Recheck(not reason, reason, _summary(found, size, limits, changed), worst)


def _fault(name: str, got: Bytes, expected: Bytes, seen: _Figures, limits: Limits) -> str:
    """Return what is wrong with a restored frame, "" for nothing."""
    if got.min() == got.max() and expected.min() != expected.max():
        return f"the frame {name} came out as one colour, {got.max()} in every byte"
    if seen.psnr_db < limits.psnr_db:
        return (
            f"the frame {name} is {seen.psnr_db:.1f} dB from fp32, at least {limits.psnr_db:.1f} "
            "is expected"
        )
    if seen.largest_levels > limits.largest_levels:
        return (
            f"a byte of the frame {name} is {seen.largest_levels} levels from fp32, at most "
            f"{limits.largest_levels} is expected"
        )
    if seen.changed_share > limits.changed_share:
        return (
            f"{seen.changed_share:.2%} of the frame {name} differs from fp32, at most "
            f"{limits.changed_share:.2%} is expected"
        )
    drift, channel = max((abs(d), c) for d, c in zip(seen.drift_levels, CHANNELS, strict=True))
    if drift > limits.drift_levels:
        return (
            f"the mean of {channel} of the frame {name} is {drift:.2f} levels from fp32, at most "
            f"{limits.drift_levels} is expected"
        )
    return ""


def _summary(
    found: Mapping[str, _Figures], size: Size, limits: Limits, changed: Sequence[str]
) -> dict[str, Any]:
    worst = min(found, key=lambda name: found[name].psnr_db)
    lowest_db = found[worst].psnr_db
    drifts = np.array([figures.drift_levels for figures in found.values()])
    largest = np.abs(drifts).max(axis=0)
    return {
        "size": size_text(size),
        "frames": len(found),
        "psnr_to_fp32_db": round(lowest_db, 3) if math.isfinite(lowest_db) else None,
        "largest_levels": max(figures.largest_levels for figures in found.values()),
        "changed_share": round(max(figures.changed_share for figures in found.values()), 8),
        "drift_levels": {c: round(float(d), 4) for c, d in zip(CHANNELS, largest, strict=True)},
        "worst_frame": worst,
        "repeatable": not changed,
        "limits": asdict(limits),
    }


def _compared(got: Bytes, expected: Bytes) -> _Figures:
    """Return how two images [H,W,3] differ, exactly.

    The PSNR is that of `core.metrics.psnr_db`, counted in bands of rows: as floats a restored
    frame of 5120x2880 pixels would take 1 GB.
    """
    counts: npt.NDArray[np.int64] = np.zeros(256, np.int64)
    for top in range(0, got.shape[0], _BAND_ROWS):
        gap = cv2.absdiff(got[top : top + _BAND_ROWS], expected[top : top + _BAND_ROWS])
        counts += np.bincount(gap.ravel(), minlength=256)
    mean_square = float(counts @ np.arange(256) ** 2) / got.size
    blue, green, red = (
        a - b for a, b in zip(cv2.mean(got)[:3], cv2.mean(expected)[:3], strict=True)
    )
    return _Figures(
        psnr_db=10 * math.log10(255**2 / mean_square) if mean_square else math.inf,
        largest_levels=int(counts.nonzero()[0][-1]),
        changed_share=float(1 - counts[0] / got.size),
        drift_levels=(blue, green, red),
    )


def _reference(bundle: Bundle) -> Backend:
    fp32 = bundle.graph("fp32")
    return OnnxRuntimeBackend(
        bundle.graph_bytes(fp32), precision=fp32.precision, states=bundle.states
    )
