"""Certificates: the gate that a graph must pass, and what certificate.json keeps of it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import isfinite
from typing import Any

from crispstream.core.bundle import VERIFICATION
from crispstream.core.pixels import CHANNELS

from .insides import FP16_SAFE, Insides
from .judge import Judged

LARGEST_PSNR_LOSS_DB = 0.1
LARGEST_SSIM_LOSS = 0.002
LARGEST_COLOUR_DRIFT_LEVELS = 0.25
"""In any one frame and channel."""

_DIGITS = 6


def reasons_against(
    judged: Judged,
    insides: Insides,
    halves: Insides | None,
    origin: Sequence[str],
    first: Judged | None = None,
) -> list[str]:
    """Return why a graph may not be certified, [] if it may.

    `halves` are the fp32 values of what the graph holds in fp16, None if nothing; `origin` is what
    speaks against the frames that it was calibrated on; `first` are the figures of a recurrent
    graph's first frames, `judged` those of its later ones.
    """
    found = _beyond_the_gate(judged)
    if first is not None:
        found += [f"in a first frame {reason}" for reason in _beyond_the_gate(first)]
    if insides.not_finite:
        found.append(f"{insides.not_finite} values inside are NaN or infinite")
    if halves is not None and not halves.largest < FP16_SAFE:
        found.append(
            f"{halves.largest_tensor} reaches {halves.largest:.0f}, and fp16 is safe below "
            f"{FP16_SAFE:.0f}"
        )
    return [*found, *origin]


def _beyond_the_gate(judged: Judged) -> list[str]:
    drift = judged.largest_colour_drift_levels
    limits = [
        (judged.psnr_loss_db, LARGEST_PSNR_LOSS_DB, "PSNR is {:.3f} dB below fp32"),
        (judged.ssim_loss, LARGEST_SSIM_LOSS, "SSIM is {:.4f} below fp32"),
    ]
    found = [
        f"{text.format(seen)}, at most {limit:g} is allowed"
        for seen, limit, text in limits
        if not seen <= limit
    ]
    if not drift < LARGEST_COLOUR_DRIFT_LEVELS:
        found.append(
            f"colours drift by {drift:.2f} grey levels, less than {LARGEST_COLOUR_DRIFT_LEVELS} is "
            "allowed"
        )
    return found


def entry_of(
    judged: Judged,
    insides: Insides,
    reasons: Sequence[str],
    *,
    precision: str,
    pairs_sha256: str,
    extra: Mapping[str, Any],
) -> dict[str, Any]:
    """Return a graph's entry in certificate.json.

    "emulated": computed on a CPU in fp32 arithmetic, to be completed by the re-check on the
    device. Only the CPU's own graphs run as they will.
    """
    drift = dict(zip(CHANNELS, judged.colour_drift_levels, strict=True))
    content = {
        "precision": precision,
        "judged_by": VERIFICATION,
        "passed": not reasons,
        "reason": "; ".join(reasons),
        "emulated": precision != "int8-cpu",
        "pairs_sha256": pairs_sha256,
        **asdict(judged),
        "colour_drift_levels": drift,
        "inside": asdict(insides),
        **extra,
    }
    rounded: dict[str, Any] = _rounded(content)
    return rounded


def _rounded(value: Any) -> Any:  # noqa: ANN401  (any JSON value)
    """Round figures to digits that mean something; what is not finite becomes None.

    Exact frames have an infinite PSNR, and JSON has no infinity.
    """
    if isinstance(value, Mapping):
        return {name: _rounded(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(part) for part in value]
    if isinstance(value, float):
        return round(value, _DIGITS) if isfinite(value) else None
    return value
