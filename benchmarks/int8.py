"""What INT8 costs and gives: the shipped int8 graphs on held-out frames, on this CPU, in TensorRT.

Quality: real exposures and blurred stills that no weight has learnt from and nothing was calibrated
with. Speed: int8-cpu and fp32 in turns through the Restorer. TensorRT-RTX: how many of the planned
convolutions its layer table shows in INT8, GFN (fresh weights) among them. Calibration: time and
memory of the whole command on 128 frames of 320x180. Needs the data folder, a calibration set (see
examples/make_calibration_frames.py) and the extras export, calib and rtx.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from common import MODELS, Limit, Ratio, arguments, paired_ratio, publish, result, sample_frames
from held_out import real, synthetic
from published_exports import exported

from crispstream.calib.certify.judge import Judged, judge, restorer_of, yardstick_of
from crispstream.calib.certify.pairs import Fitted, Pair, fitted
from crispstream.calib.quantise.cpu_form import tensors_to_measure
from crispstream.calib.quantise.graph import GraphView
from crispstream.calib.quantise.placement import default_plan
from crispstream.calib.quantise.ranges import Ranges, measure, ranges_from
from crispstream.calib.quantise.tensorrt_form import tensorrt_form
from crispstream.core.bundle import Bundle
from crispstream.core.machine import usable_cores
from crispstream.core.pixels import Bytes
from crispstream.export.static import shape_of
from crispstream.runtime.engine.building.build import build_engine
from crispstream.runtime.engine.building.options import BuildOptions
from crispstream.runtime.engine.models import find_model
from crispstream.runtime.restorer import Restorer
from crispstream.train.models.registry import build_network

PRECISIONS = ("fp16", "int8", "int8-cpu")
ROUNDS = 30
SIZE = (320, 180)
INT8 = "Int8"
AT_LEAST_SPEED = {"edge-s": 1.5}


def quality_of(bundle: Bundle, pairs: Sequence[Fitted]) -> dict[str, Judged]:
    """Return what each graph loses beside fp32."""
    exact = restorer_of(bundle.graph_bytes(bundle.graph("fp32")), literally=False)
    yardstick = yardstick_of(exact, pairs)
    return {
        precision: judge(
            restorer_of(bundle.graph_bytes(bundle.graph(precision)), literally=precision == "int8"),
            yardstick,
        )
        for precision in PRECISIONS
    }


def weight_share(onnx_bytes: bytes) -> float:
    """Return the bytes of INT8 weights and their scales over those of the same in fp32."""
    view = GraphView(onnx_bytes)
    weights = {name: view.constants[name] for name in view.constants if name.endswith("_int8")}
    kept = [values for values in weights.values() if values.ndim == 4]
    scales = [view.constants[name] for name in view.constants if name.endswith("weight_scale")]
    stored = sum(values.nbytes for values in (*kept, *scales))
    return stored / sum(4 * values.size for values in kept)


def speed_of(name: str, threads: int, frames: Sequence[Bytes]) -> Ratio:
    """Return frames/s of int8-cpu over fp32, frame by frame in turns."""
    times: dict[str, list[float]] = {"fp32": [], "int8-cpu": []}
    with (
        Restorer.open(name, precision="fp32", threads=threads) as fp32,
        Restorer.open(name, precision="int8-cpu", threads=threads) as int8,
    ):
        for index in range(ROUNDS + 3):
            for precision, restorer in (("fp32", fp32), ("int8-cpu", int8)):
                begun = time.perf_counter()
                restorer.restore(frames[index % len(frames)])
                if index >= 3:
                    times[precision].append(time.perf_counter() - begun)
    return paired_ratio(times["fp32"], times["int8-cpu"])


def in_tensorrt(onnx_bytes: bytes, planned: Sequence[str]) -> dict[str, int]:
    """Build a graph; return how many convolutions were planned and are in INT8."""
    layers = build_engine(onnx_bytes, BuildOptions.static(SIZE)).layers
    integer = {node for layer in layers if layer.data_type == INT8 for node in layer.onnx_nodes}
    return {"planned": len(planned), "in_int8": len(integer.intersection(planned))}


def planned_of(bundle: Bundle) -> list[str]:
    """Return the convolutions that are INT8 in a bundle's int8.onnx."""
    view = GraphView(bundle.graph_bytes(bundle.graph("int8")))
    return [
        node.name
        for node in view.nodes
        if node.op_type == "Conv" and node.input[1] not in view.constants
    ]


def gfn_in_tensorrt(frame: Bytes) -> dict[str, int]:
    """Quantise GFN with fresh weights, calibrated on one frame, and build it."""
    torch.manual_seed(0)
    network = build_network("gfn").eval()
    shape = shape_of(network, *SIZE)
    fp32, fp16 = (GraphView(exported(network, shape, p)) for p in ("fp32", "fp16"))
    plan = default_plan(fp32)
    seen = measure(fp32, tensors_to_measure(fp32, list(plan.layers)), [frame], lambda: None)
    ranges = Ranges("", "", "mse", 1, ranges_from(seen, "mse"))
    form = tensorrt_form(fp16, fp32, plan.chosen["int8"], ranges)
    return in_tensorrt(form.onnx_bytes, plan.chosen["int8"])


def calibration_cost(name: str, frames: Path) -> dict[str, float]:
    """Return seconds and peak memory of `crispstream calibrate`, nothing kept from before."""
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "crispstream.cli.main", "calibrate", name]
        words += ["--set", str(frames), "-o", f"{folder}/new"]
        begun = time.monotonic()
        environment = {**os.environ, "XDG_CACHE_HOME": folder}
        subprocess.run(words, check=True, capture_output=True, env=environment)
        seconds = time.monotonic() - begun
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    return {"seconds": round(seconds, 1), "peak_memory_gb": round(peak / 1e9, 2)}


def main() -> None:
    """Measure everything."""
    parser = arguments(__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--set", type=Path, default=Path("build/set"), dest="frames")
    chosen = parser.parse_args()
    figures: dict[str, Any] = {"calibration": calibration_cost("edge-s", chosen.frames)}
    limits = {
        "calibration_seconds": Limit(figures["calibration"]["seconds"], at_most=120),
        "calibration_memory_gb": Limit(figures["calibration"]["peak_memory_gb"], at_most=2),
    }
    sets = {"real": partial(real, chosen.data), "synthetic": partial(synthetic, chosen.data, 32, 0)}
    pairs = {
        title: [Pair(sample.name, sample.lr, sample.hr) for sample in samples()]
        for title, samples in sets.items()
    }
    frames = sample_frames()
    for name in MODELS:
        figures[name] = _figures(name, pairs, frames)
        limits |= _limits(name, figures[name])
    figures["gfn"] = {"tensorrt_rtx": gfn_in_tensorrt(frames[0])}
    limits["gfn_in_int8_share"] = _built(figures["gfn"])
    settings = {"rounds": ROUNDS, "size": SIZE, "pairs": {k: len(v) for k, v in pairs.items()}}
    publish(result("int8", settings=settings, figures=figures, limits=limits), chosen)


def _figures(name: str, pairs: dict[str, list[Pair]], frames: Sequence[Bytes]) -> dict[str, Any]:
    bundle = find_model(name)
    int8 = bundle.graph_bytes(bundle.graph("int8"))
    judged = {
        title: quality_of(bundle, list(fitted(some, None, bundle.size_multiple)))
        for title, some in pairs.items()
    }
    threads = sorted({1, usable_cores()})
    return {
        "quality": {
            title: {precision: asdict(one) for precision, one in each.items()}
            for title, each in judged.items()
        },
        "weight_share": {
            "int8": weight_share(int8),
            "int8-cpu": weight_share(bundle.graph_bytes(bundle.graph("int8-cpu"))),
        },
        "speed_over_fp32": {str(t): asdict(speed_of(name, t, frames)) for t in threads},
        "tensorrt_rtx": in_tensorrt(int8, planned_of(bundle)),
    }


def _limits(name: str, figures: dict[str, Any]) -> dict[str, Limit]:
    limits = {f"{name}_in_int8_share": _built(figures)}
    for title, each in figures["quality"].items():
        for precision in ("int8", "int8-cpu"):
            one, key = each[precision], f"{name}_{title}_{precision}"
            limits[f"{key}_psnr_loss_db"] = Limit(one["psnr_loss_db"], at_most=0.1)
            limits[f"{key}_ssim_loss"] = Limit(one["ssim_loss"], at_most=0.002)
    for precision, share in figures["weight_share"].items():
        limits[f"{name}_{precision}_weight_share"] = Limit(share, at_most=0.3)
    if name in AT_LEAST_SPEED:
        for threads, ratio in figures["speed_over_fp32"].items():
            key = f"{name}_speed_{threads}_threads"
            limits[key] = Limit(ratio["median"], at_least=AT_LEAST_SPEED[name])
    return limits


def _built(figures: dict[str, Any]) -> Limit:
    counts = figures["tensorrt_rtx"]
    return Limit(counts["in_int8"] / counts["planned"], at_least=1.0)


if __name__ == "__main__":
    main()
