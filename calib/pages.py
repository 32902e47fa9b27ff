"""What calibration and verification found, as HTML pages: no script, nothing fetched."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from crispstream.core.errors import UsageError
from crispstream.core.files import write_atomically
from crispstream.core.int8 import module_path
from crispstream.core.pixels import SCALE, Bytes

from .certify.certificate import (
    LARGEST_COLOUR_DRIFT_LEVELS,
    LARGEST_PSNR_LOSS_DB,
    LARGEST_SSIM_LOSS,
)
from .certify.judge import last_restored, restorer_of
from .certify.pairs import Fitted, Pairs, fitted
from .certify.sequences import sequence_frames
from .certify.shown import number, reasons_of, rows_of
from .layout import embedded, page, section, table, terms
from .plots import layers_chart, points_plot
from .quantise.graph import GraphView
from .quantise.sensitivity import Sensitivity

if TYPE_CHECKING:
    from .calibrate import Calibrated
    from .certify.verify import Subject, Verification

_GAIN = 16  # differences are shown so much larger

_GATE = (
    f"A graph is certified if PSNR is at most {LARGEST_PSNR_LOSS_DB:g} dB and SSIM at most "
    f"{LARGEST_SSIM_LOSS:g} below fp32, no channel drifts by {LARGEST_COLOUR_DRIFT_LEVELS:g} grey "
    "levels in any frame, and nothing inside is NaN or infinite. fp32 is certified by export."
)
_HEAD = (
    "graph", "certified", "PSNR, dB", "lost, dB", "SSIM lost", "to fp32, dB", "drift", "flicker",
    "beyond range", "speed",
)  # fmt: skip
_TERMS = {
    "lost": "fp32's figure less this graph's, both against the truth, mean over frames.",
    "to fp32": "PSNR between this graph's frames and those of fp32.",
    "colour drift": "the largest mean change of a colour channel from fp32 in one frame.",
    "flicker": "how much a pixel moves from frame to frame of a still scene under sensor noise of "
    "2 levels: standard deviation over time, mean over pixels.",
    "beyond range": "share of the values that quantisation clips, in the tensor where most are.",
    "speed": "frames a second over those of fp32 on this CPU, one thread, in turns.",
}


def write_page(path: Path, page: str) -> None:
    """Write a page.

    Raises:
        UsageError: if the file cannot be written.
    """
    try:
        write_atomically(path, page.encode())
    except OSError as error:
        raise UsageError(
            f"the page '{path}' cannot be written ({error.strerror}); name another file"
        ) from error


def calibration_page(made: "Calibrated") -> str:
    """Return the page of a calibration: certificate, plan, ranges."""
    sections = [
        _certificate(made.verification),
        *(_sensitivity(one) for one in made.sensitivities),
        _layers(made),
    ]
    summary = f"ranges by {made.ranges.method} over {made.ranges.frames} frames"
    return _page(f"{made.bundle.name}: calibration", summary, sections)


def verification_page(subject: "Subject", found: "Verification", pairs: Pairs) -> str:
    """Return the page of a verification: certificate and the worst frames."""
    fp32 = GraphView(subject.graphs["fp32"])
    size, multiple = fp32.input_size(), subject.size_multiple
    ready = {pair.name: pair for pair in fitted(pairs.pairs, size, multiple)}
    frames = sequence_frames(fp32)
    worst = [
        _worst(subject, precision, entry, ready[entry["worst_frame"]], frames)
        for precision, entry in found.entries.items()
        if precision != "fp32"
    ]
    sections = [_certificate(found), *worst]
    later = f", each after {frames - 1} frames that lead up to it" if frames > 1 else ""
    summary = f"judged on {len(ready)} pairs{later}"
    return _page(f"{subject.name}: certificate", summary, sections)


def _page(title: str, summary: str, sections: Sequence[str]) -> str:
    return page(title, summary, [*sections, section("What the figures are", _GATE, terms(_TERMS))])


def _certificate(found: "Verification") -> str:
    # What is asked first comes first: on a narrow screen the rest is beyond the edge.
    rows = [(row.graph, row.certified, *row[1:-1]) for row in rows_of(found)]
    reasons = "".join(f'<p class="lacking">{escape(reason)}</p>' for reason in reasons_of(found))
    return section("Certificate", "", f"{table(_HEAD, rows)}{reasons}")


def _sensitivity(found: Sensitivity) -> str:
    plot = (
        '<ul class="legend"><li><i class="work"></i>chosen</li><li><i class="pale"></i>other '
        f"choices worth having, or layers left in floating point</li></ul>{points_plot(found)}"
    )
    note = (
        "Each point is a choice of layers that no other beats in both. The time is predicted from "
        "counts. Below, each layer alone in INT8: a longer bar is a larger error."
    )
    chart = layers_chart(found.losses, found.chosen.layers)
    return section(f"{found.flavour}: what to quantise", note, f"{plot}{chart}")


def _layers(made: "Calibrated") -> str:
    chosen = {flavour: set(form.int8_layers) for flavour, form in made.forms.items()}
    rows = [
        (module_path(name), *("INT8" if name in names else "-" for names in chosen.values()), span)
        for name, span in _spans(made)
    ]
    head = ("convolution", *chosen, "range of its input")
    return section("Layers", "", table(head, rows))


def _spans(made: "Calibrated") -> list[tuple[str, str]]:
    return [
        (name, f"{made.ranges.of(tensor).low:.3g} to {made.ranges.of(tensor).high:.3g}")
        for name, tensor in made.plan.layers.items()
    ]


def _worst(
    subject: "Subject", precision: str, entry: Mapping[str, Any], pair: Fitted, frames: int
) -> str:
    theirs, restored = (
        pair.judged(last_restored(restorer_of(graph, literally=literally), pair.frame, frames))
        for graph, literally in (
            (subject.graphs["fp32"], False),
            (subject.graphs[precision], precision == "int8"),
        )
    )
    change = _GAIN * (restored.astype(np.int16) - theirs) + 128
    small = pair.judged(pair.frame.repeat(SCALE, 0).repeat(SCALE, 1))
    pictures = {
        "the frame": small,
        "fp32": theirs,
        precision: restored,
        f"difference, {_GAIN} times": np.clip(change, 0, 255).astype(np.uint8),
    }
    sheet = "".join(_figure(name, picture) for name, picture in pictures.items())
    lost = number(entry["worst_frame_loss_db"], 3)
    note = f"'{pair.name}' loses {lost} dB, more than any other frame."
    return section(f"{precision}: the worst frame", note, f'<div class="sheet pairs">{sheet}</div>')


def _figure(name: str, picture: Bytes) -> str:
    data = embedded(cv2.imencode(".png", picture)[1].tobytes(), "png")
    return (
        f'<figure><img src="{data}" alt="{escape(name)}">'
        f"<figcaption><b>{escape(name)}</b></figcaption></figure>"
    )
