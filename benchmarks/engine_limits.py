"""What right and broken engines do to a frame, beside the limits of the re-check and the guard.

A GPU's arithmetic is emulated in PyTorch: fp32 added up in another order or with TF32's inputs,
fp16 with every partial sum rounded, which is worse than any hardware. int8 is ONNX Runtime's. All
are compared, byte by byte, with fp32 on ONNX Runtime, and so are broken frames. The guard looks at
what fp32 and int8-cpu restore, and must have nothing to say.

Most real frames are in the data folder (not part of the project); without it the result says what
was left out. Needs the extra export. One core does it in under 3 minutes.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from common import MODELS, Limit, arguments, publish, result
from differences import (
    BROKEN,
    SQUARE_LEFT,
    SQUARE_PX,
    SQUARE_TOP,
    Difference,
    Judged,
    difference,
    judged,
    mildest,
    worst,
)
from emulated import EmulatedGraph, Sums, fp16_sums, plain_sums, tf32_sums
from guard_looks import LOOKS_TIMED, TIMED_SIZES, farthest, look_at, look_microseconds
from judged_frames import Picture, check_frames, clips, drawn, left_out, sample, stills, treated

from crispstream.core.bundle import Bundle
from crispstream.core.pixels import Bytes
from crispstream.core.sizes import parse_size
from crispstream.runtime.engine.backends.onnxruntime import OnnxRuntimeBackend
from crispstream.runtime.engine.models import find_model
from crispstream.runtime.engine.trust import guard as guarding
from crispstream.runtime.engine.trust.recheck import LIMITS, limits_of, recheck

Restore = Callable[[Bytes], Bytes]


class Way(NamedTuple):
    """How a graph of a bundle is computed."""

    precision: str
    sums: Mapping[torch.dtype, Sums] | None = None
    """How convolutions add up, by the type of their input; None: as ONNX Runtime does."""


REFUSED_WAY = "fp32_with_tf32_inputs"
WAYS = {
    "fp32_in_another_order": Way("fp32", {torch.float32: plain_sums}),
    REFUSED_WAY: Way("fp32", {torch.float32: tf32_sums}),
    "fp16_rounded_every_16": Way("fp16", {torch.float16: fp16_sums(16)}),
    "fp16_rounded_every_4": Way("fp16", {torch.float16: fp16_sums(4)}),
    "int8": Way("int8"),
    "int8-cpu": Way("int8-cpu"),
}
EMULATED_EVERY = {"check": 1, "real": 2, "treated": 8, "drawn": 1}
"""By set: one of so many frames is emulated, for that is slow."""

GROUPS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "float": {"all": tuple(EMULATED_EVERY)},
    "int8": {"check": ("check", "check_other_sizes"), "real": ("real",)},
}
"""The sets that are held to the limits. An engine is judged by check frames alone. What int8 loses
on frames that no camera gives is published without a limit."""

CHECKED_SIZES = ("64x48", "96x96", "160x96", "640x360", "960x540")
"""At which the int8 graphs are re-checked, beside the 320x180 of the check frames."""


def backend_of(bundle: Bundle, precision: str) -> OnnxRuntimeBackend:
    """Open a graph on ONNX Runtime, on one thread."""
    data = bundle.graph_bytes(bundle.graph(precision))
    return OnnxRuntimeBackend(data, precision=precision, threads=1)


def restorer_of(bundle: Bundle, way: Way) -> Restore:
    """Return a graph as a function."""
    if way.sums is None:
        return partial(_restored, backend_of(bundle, way.precision))
    data = bundle.graph_bytes(bundle.graph(way.precision))
    return EmulatedGraph(data, way.sums).restore


def _restored(backend: OnnxRuntimeBackend, frame_hwc: Bytes) -> Bytes:
    height, width, _ = frame_hwc.shape
    backend.allocate(height, width, 1)  # new buffers: the frame before stays as it is
    np.copyto(backend.frame(0), frame_hwc)
    backend.submit(0)
    backend.wait(0)
    return backend.restored(0)


class Restorers:
    """A bundle's graphs as functions, and what a guard sees of two of them."""

    def __init__(self, bundle: Bundle) -> None:
        """Open everything."""
        self._exact = restorer_of(bundle, Way("fp32"))
        self._ways = {name: restorer_of(bundle, way) for name, way in WAYS.items()}
        self._limits = {
            name: limits_of(bundle, bundle.graph(way.precision)) for name, way in WAYS.items()
        }

    def restore(
        self, pictures: Sequence[Picture], emulated_every: int
    ) -> tuple[dict[str, Judged], dict[str, Any]]:
        """Restore frames in every way; return the differences by way, and the guard's figures."""
        seen, looks, guard = defaultdict(list), [], guarding.FrameGuard()
        for number, (name, frame) in enumerate(pictures):
            expected = self._exact(frame)
            looks.append(look_at(guard, name, frame, expected))
            for way, (_, sums) in WAYS.items():
                if sums is not None and number % emulated_every:
                    continue
                got = self._ways[way](frame)
                seen[way].append(difference(name, got, expected))
                if way == "int8-cpu":
                    looks.append(look_at(guard, name, frame, got))
        differences = {way: judged(found, self._limits[way]) for way, found in seen.items()}
        return differences, farthest(looks)


def right_frames(bundle: Bundle, sets: Mapping[str, Sequence[Picture]]) -> dict[str, Any]:
    """Return differences by way and set, and what the guard saw, by set."""
    restorers = Restorers(bundle)
    found = {
        title: restorers.restore(pictures, EMULATED_EVERY[title])
        for title, pictures in sets.items()
    }
    return {
        "differences": {
            way: {title: differences[way] for title, (differences, _) in found.items()}
            for way in WAYS
        },
        "guard": {title: looks for title, (_, looks) in found.items()},
    }


def at_other_sizes(bundle: Bundle, precision: str) -> Judged:
    """Re-check a graph on ONNX Runtime at several sizes; of each the worst frame is judged."""
    graph, found = bundle.graph(precision), []
    exact, backend = backend_of(bundle, "fp32"), backend_of(bundle, precision)
    for size in CHECKED_SIZES:
        seen = recheck(bundle, graph, backend, parse_size(size), reference=exact).figures
        found.append(
            Difference(
                f"{seen['worst_frame']} {size}",
                seen["psnr_to_fp32_db"],
                seen["largest_levels"],
                seen["changed_share"],
                max(seen["drift_levels"].values()),
            )
        )
    return judged(found, limits_of(bundle, graph))


def broken_frames(bundle: Bundle) -> dict[str, dict[str, float]]:
    """Break what fp32 makes of the check frames; return how little that shows in any of them."""
    exact = restorer_of(bundle, Way("fp32"))
    images = [exact(frame) for _, frame in check_frames(bundle)]
    return {fault: mildest(images, fault, LIMITS["int8"]) for fault in BROKEN}


def main() -> None:
    """Measure both shipped models."""
    parser = arguments(__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    figures: dict[str, Any] = {}
    sets: dict[str, Sequence[Picture]] = {}
    for name in MODELS:
        bundle, some_stills = find_model(name), stills(chosen.data)
        sets["check"] = check_frames(bundle)
        sets["real"] = [*sample(), *some_stills, *clips(chosen.data)]
        sets["treated"], sets["drawn"] = treated(sets["check"], some_stills), drawn()
        figures[name] = {**right_frames(bundle, sets), "broken": broken_frames(bundle)}
        for precision in ("int8", "int8-cpu"):
            others = at_other_sizes(bundle, precision)
            figures[name]["differences"][precision]["check_other_sizes"] = others
    limits = {**_right_limits(figures), **_refusals(figures), **_guard_limits(figures)}
    timed = {size: look_microseconds(size) for size in TIMED_SIZES}
    settings = {
        "frames": {title: len(pictures) for title, pictures in sets.items()},
        "emulated_one_of": EMULATED_EVERY,
        "other_sizes": CHECKED_SIZES,
        "black_square_px": {"left": SQUARE_LEFT, "top": SQUARE_TOP, "side": SQUARE_PX},
        "looks_timed": LOOKS_TIMED,
        "left_out": left_out(chosen.data),
    }
    publish(
        result(
            "engine_limits",
            settings=settings,
            figures=_as_json({**figures, "look_microseconds": timed}),
            limits=limits,
        ),
        chosen,
    )


def _right_limits(figures: Mapping[str, Any]) -> dict[str, Limit]:
    """Return what right arithmetic may differ by, with the worst that was seen."""
    limits = {}
    for precision, allowed in LIMITS.items():
        for group, sets in GROUPS["int8" if precision.startswith("int8") else "float"].items():
            key = f"{precision}_{group}"
            seen = {name: _worst_of(figures[name], precision, sets) for name in MODELS}
            for name, each in seen.items():
                bundle = find_model(name)
                at_least = limits_of(bundle, bundle.graph(precision)).psnr_db
                limits[f"{key}_{name}_psnr_db"] = Limit(each.psnr_db, at_least=at_least)
            for figure in ("largest_levels", "changed_share", "drift_levels"):
                value = max(getattr(each, figure) for each in seen.values())
                limits[f"{key}_{figure}"] = Limit(value, at_most=getattr(allowed, figure))
    return limits


def _worst_of(model: Mapping[str, Any], precision: str, sets: Sequence[str]) -> Difference:
    ways = [name for name, way in WAYS.items() if way.precision == precision]
    right = [model["differences"][name] for name in ways if name != REFUSED_WAY]
    return worst([by_set[title].worst for by_set in right for title in sets])


def _refusals(figures: Mapping[str, Any]) -> dict[str, Limit]:
    """Return by what each broken frame is refused, at the widest limits there are: int8's."""
    allowed = LIMITS["int8"]
    models = [figures[name] for name in MODELS]
    tf32 = min(each["differences"][REFUSED_WAY]["check"].worst.changed_share for each in models)
    limits = {"tf32_refused_changed_share": Limit(tf32, at_least=LIMITS["fp32"].changed_share)}
    for fault in ("shifted_right", "shifted_down", "colours_swapped"):
        psnr_db = max(each["broken"][fault]["psnr_db"] for each in models)
        limits[f"{fault}_refused_psnr_db"] = Limit(psnr_db, at_most=allowed.psnr_db)
    for fault, key in (("black_square", "largest_levels"), ("one_level_up", "drift_levels")):
        value = min(each["broken"][fault][key] for each in models)
        limits[f"{fault}_refused_{key}"] = Limit(value, at_least=getattr(allowed, key))
    return limits


def _guard_limits(figures: Mapping[str, Any]) -> dict[str, Limit]:
    looks = [look for name in MODELS for look in figures[name]["guard"].values()]
    mean, extremes = (max(look[key] for look in looks) for key in ("mean_levels", "new_extremes"))
    contrast = min(look["contrast"] for look in looks)
    return {
        "guard_mean_levels": Limit(mean, at_most=guarding.LARGEST_MEAN_LEVELS),
        "guard_new_extremes": Limit(extremes, at_most=guarding.LARGEST_NEW_EXTREMES),
        "guard_contrast": Limit(contrast, at_least=guarding.SMALLEST_CONTRAST),
        "guard_complaints": Limit(sum(look["complaints"] for look in looks), at_most=0),
    }


def _as_json(value: Any) -> Any:  # noqa: ANN401 - figures, nested
    if isinstance(value, Difference | Judged):
        return {name: _as_json(each) for name, each in asdict(value).items()}
    if isinstance(value, Mapping):
        return {name: _as_json(each) for name, each in value.items()}
    return round(value, 7) if isinstance(value, float) else value


if __name__ == "__main__":
    main()
