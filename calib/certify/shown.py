"""Figures of a certificate as people read them: in the terminal, on a page, on a model card."""

from collections.abc import Mapping
from math import isfinite
from typing import Any, NamedTuple

from .verify import Verification


class Shown(NamedTuple):
    """A graph's row; "" where there is no such figure."""

    graph: str
    psnr: str
    """dB."""
    lost: str
    """dB."""
    ssim_lost: str
    to_fp32: str
    """dB."""
    drift: str
    """Grey levels."""
    flicker: str
    """Grey levels."""
    beyond_range: str
    speed: str
    certified: str


def rows_of(found: Verification) -> list[Shown]:
    """Return a row for each graph, fp32's first."""
    by_export = "by export" if found.entries["fp32"].get("passed") is True else "no"
    flicker = f"{found.fp32.flicker_levels:.2f}"
    psnr = f"{found.fp32.psnr_db:.2f}" if isfinite(found.fp32.psnr_db) else "exact"
    rows = [Shown("fp32", psnr, "", "", "", "", flicker, "", "", by_export)]
    return rows + [_row(name, one) for name, one in found.entries.items() if name != "fp32"]


def reasons_of(found: Verification) -> list[str]:
    """Return why graphs failed, a sentence each."""
    reasons = [
        f"{name} failed: {entry['reason']}"
        for name, entry in found.entries.items()
        if entry.get("reason")
    ]
    if found.entries["fp32"].get("passed") is not True:
        reasons.append(
            "fp32 is not certified: certificate.json lacks export's parity; copy the bundle again, "
            "or export the network again"
        )
    return reasons


def number(value: float | None, digits: int, endless: str = "infinite") -> str:
    """Return a figure without a minus before zero; None is what certificates keep of infinity.

    >>> number(-0.00001, 3), number(None, 2, "exact")
    ('0.000', 'exact')
    """
    return endless if value is None else f"{round(value, digits) + 0.0:.{digits}f}"


def _row(name: str, entry: Mapping[str, Any]) -> Shown:
    speed = entry.get("speed_over_fp32")
    yes = "yes, emulated" if entry["emulated"] else "yes"
    return Shown(
        name,
        number(entry["psnr_db"], 2, "exact"),
        number(entry["psnr_loss_db"], 3),
        number(entry["ssim_loss"], 4),
        number(entry["psnr_to_fp32_db"], 2, "exact"),
        number(entry["largest_colour_drift_levels"], 2),
        number(entry["flicker_levels"], 2),
        f"{entry['inside']['saturated_share']:.3%}",
        "" if speed is None else f"{speed:.2f}x",
        yes if entry["passed"] else "no",
    )
