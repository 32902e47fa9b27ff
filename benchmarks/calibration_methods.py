"""Calibration methods on our own networks: method x number of images x placement -> dB.

Each row quantises a shipped model's fp32 and fp16 graphs and runs them on frames that were not
calibrated with: real exposures of a 240 fps clip. `to_fp32_db` is the PSNR to the fp32 graph's
frames, `lost_db` the PSNR against the truth that fp32 has more. A residual network shows what the
skip sides cost, for the edge family has no residual add behind a convolution: name one that was
trained with --residual BUNDLE. Needs the data folder and a calibration set, see
examples/make_calibration_frames.py.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from common import MODELS, arguments, publish, result
from held_out import real

from crispstream.calib.certify.judge import Yardstick, judge, restorer_of, yardstick_of
from crispstream.calib.certify.pairs import Pair, fitted
from crispstream.calib.collect.sets import CalibrationSet
from crispstream.calib.quantise.cpu_form import cpu_form, tensors_to_measure
from crispstream.calib.quantise.feed import frames_for
from crispstream.calib.quantise.graph import GraphView
from crispstream.calib.quantise.histogram import Histogram
from crispstream.calib.quantise.methods import METHODS
from crispstream.calib.quantise.placement import USUAL, layers_of
from crispstream.calib.quantise.ranges import Ranges, measure, ranges_from
from crispstream.calib.quantise.tensorrt_form import Form, tensorrt_form
from crispstream.core.bundle import Bundle
from crispstream.runtime.engine.models import find_model

IMAGES = (1, 8, 32, 128)
PLACEMENTS = ("usual", "and gates", "and last", "all")
FRAMES_STEPPED = 3


@dataclass(frozen=True)
class Case:
    """A bundle, and what it is judged with."""

    bundle: Bundle
    fp32: GraphView
    fp16: GraphView
    yardstick: Yardstick

    def form(self, flavour: str, placement: str, ranges: Ranges, *, skip_sides: bool) -> Form:
        """Return the quantised graph."""
        roles = {
            "usual": (USUAL,),
            "and gates": (USUAL, "gate"),
            "and last": (USUAL, "last"),
            "all": (USUAL, "gate", "last", "first"),
        }[placement]
        names = [layer.name for layer in layers_of(self.fp32) if layer.role in roles]
        if flavour == "int8":
            return tensorrt_form(self.fp16, self.fp32, names, ranges, skip_sides=skip_sides)
        return cpu_form(self.fp32, names, ranges, skip_sides=skip_sides)

    def row(self, flavour: str, form: Form) -> dict[str, float]:
        """Return what a quantised graph loses."""
        found = judge(restorer_of(form.onnx_bytes, literally=flavour == "int8"), self.yardstick)
        return {
            "to_fp32_db": round(found.psnr_to_fp32_db, 2),
            "lost_db": round(found.psnr_loss_db, 4),
            "ssim_lost": round(found.ssim_loss, 5),
            "drift_levels": round(found.largest_colour_drift_levels, 3),
            "layers": len(form.int8_layers),
        }


def histograms(case: Case, frames: CalibrationSet, images: int) -> Mapping[str, Histogram]:
    """Return what the first `images` frames of a set, which cover most, put into each tensor."""
    tensors = tensors_to_measure(case.fp32, [layer.name for layer in layers_of(case.fp32)])
    taken = frames_for(case.fp32, case.bundle.size_multiple, frames, limit=images)
    return measure(case.fp32, tensors, taken, lambda: None)


def rows_of(
    case: Case,
    frames: CalibrationSet,
    *,
    methods: Sequence[str] = tuple(METHODS),
    images_tried: Sequence[int] = IMAGES,
    skip_sides: Sequence[bool] = (False,),
) -> Iterator[dict[str, Any]]:
    """Yield a row for each choice; placements are tried with most images only."""
    for images in images_tried:
        seen = histograms(case, frames, images)
        for method, placement, skips in itertools.product(methods, PLACEMENTS, skip_sides):
            if placement != "usual" and images != images_tried[-1]:
                continue
            ranges = Ranges("", "", method, images, ranges_from(seen, method))
            for flavour in ("int8", "int8-cpu"):
                form = case.form(flavour, placement, ranges, skip_sides=skips)
                yield {
                    "model": case.bundle.name,
                    "flavour": flavour,
                    "method": method,
                    "images": images,
                    "placement": placement,
                    "skip_sides": skips,
                    **case.row(flavour, form),
                }


def case_of(name: str, pairs: Sequence[Pair]) -> Case:
    """Return a bundle and its pairs."""
    bundle = find_model(name)
    fp32, fp16 = (GraphView(bundle.graph_bytes(bundle.graph(p))) for p in ("fp32", "fp16"))
    ready = list(fitted(pairs, fp32.input_size(), bundle.size_multiple))
    exact = restorer_of(fp32.model.SerializeToString(), literally=False)
    return Case(bundle, fp32, fp16, yardstick_of(exact, ready))


def main() -> None:
    """Quantise in every way and judge."""
    parser = arguments(__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--set", type=Path, default=Path("build/set"), dest="frames")
    parser.add_argument("--residual", help="bundle of a trained residual network")
    chosen = parser.parse_args()
    frames = CalibrationSet.load(chosen.frames)
    pairs = [Pair(sample.name, sample.lr, sample.hr) for sample in real(chosen.data)]
    pairs = pairs[::FRAMES_STEPPED]
    rows: list[dict[str, Any]] = []
    for name in MODELS:
        rows += rows_of(case_of(name, pairs), frames)
    if chosen.residual:
        residual = case_of(chosen.residual, pairs[::FRAMES_STEPPED])
        rows += rows_of(
            residual, frames, methods=("mse",), images_tried=(32,), skip_sides=(False, True)
        )
    best = {
        name: max(np.mean([r["to_fp32_db"] for r in _usual(rows, name, m)]) for m in METHODS)
        for name in MODELS
    }
    settings = {"pairs": len(pairs), "set_sha256": frames.digest, "set_frames": len(frames.frames)}
    figures = {"rows": rows, "best_usual_db": best}
    publish(result("calibration_methods", settings=settings, figures=figures, limits={}), chosen)


def _usual(rows: Sequence[dict[str, Any]], name: str, method: str) -> list[dict[str, Any]]:
    wanted = {"model": name, "method": method, "images": IMAGES[-1], "placement": "usual"}
    return [row for row in rows if wanted.items() <= row.items()]


if __name__ == "__main__":
    main()
