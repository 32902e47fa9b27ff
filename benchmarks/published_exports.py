"""What the published networks weigh once exported, and whether TensorRT-RTX builds them.

Each network is traced with fresh weights at 320x180, in fp32 and in fp16, and given to
TensorRT-RTX, which builds engines without a GPU: weights change neither sizes nor operators.
Every build has a process of its own with a limit on time and memory; what does not build within
them is tried at a smaller frame. Nothing is compared with PyTorch here: `crispstream export` does.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from common import RESULTS, Limit, arguments, publish, result

from crispstream.core.errors import CrispstreamError
from crispstream.export.static import (
    LEVELS,
    BytesStatic,
    Shape,
    deployed,
    onnx_from_static,
    shape_of,
    static_graph,
)
from crispstream.export.surgery import simplified, without_output
from crispstream.runtime.engine.building.build import build_engine
from crispstream.runtime.engine.building.options import BuildOptions
from crispstream.runtime.engine.building.workbench import Workbench
from crispstream.runtime.engine.native import load_flavour
from crispstream.train.models.registry import build_network

NETWORKS = (
    *("cmsc-fast", "srresnet", "predeblur", "gfn", "ms2net", "cmsc"),
    *("cmos-nyuv2", "rrdb-sft", "blindsr-nyuv2", "cnlrn"),
)
SIZES = ((320, 180), (160, 120), (96, 64))
"""Width and height of the frames that are tried, in their order."""
PRECISIONS = ("fp32", "fp16")
LIMIT_SECONDS = 900
LIMIT_GIB = 20
FLAVOUR = "tensorrt-rtx"


def build_one(name: str, precision: str, width: int, height: int) -> dict[str, Any]:
    """Export and build one graph in this process."""
    torch.manual_seed(0)
    begun = time.monotonic()
    network = build_network(name).eval()
    shape = shape_of(network, width, height)
    onnx_bytes = exported(network, shape, precision)
    traced = time.monotonic()
    if shape.restores:
        engine = build_engine(
            onnx_bytes, BuildOptions.static((width, height)), flavour=FLAVOUR
        ).plan
    else:
        with Workbench(load_flavour(FLAVOUR), FLAVOUR) as bench:
            bench.parse(onnx_bytes)
            engine = bench.build(None)
    return {
        "size": shape.text,
        "onnx_mb": len(onnx_bytes) / 1e6,
        "engine_mb": len(engine) / 1e6,
        "export_seconds": round(traced - begun, 1),
        "build_seconds": round(time.monotonic() - traced, 1),
        "peak_memory_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }


def exported(network: torch.nn.Module, shape: Shape, precision: str) -> bytes:
    """Return the graph as `crispstream export` ships it, with the weights as they are."""
    graph = static_graph(deployed(network), shape, precision)
    height, width = shape.height, shape.width
    inputs = [torch.zeros(1, 3, height, width)]
    inputs += [torch.zeros(1, 1, 4 * height, 4 * width) for _ in shape.maps]
    if isinstance(graph, BytesStatic):
        inputs = [torch.zeros(1, height, width, 3, dtype=torch.uint8)]
    plain = onnx_from_static(graph, inputs)
    return without_output(simplified(plain, fuse=False) or plain, LEVELS)


def build_apart(name: str, precision: str, size: tuple[int, int]) -> dict[str, Any]:
    """Return what `build_one` does in a process with limits, or {"failed": why}."""
    words = [sys.executable, __file__, "--one", name, precision, *map(str, size)]
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=LIMIT_SECONDS, preexec_fn=_limit_memory
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"more than {LIMIT_SECONDS} s"}
    if done.returncode == 0:
        figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return figures
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    last = lines[-1] if lines else f"ended with {done.returncode}"
    short_of_memory = any(word in done.stderr for word in ("MemoryError", "bad_alloc", "allocate"))
    return {"failed": f"more than {LIMIT_GIB} GiB" if short_of_memory else last[:200]}


def _limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (LIMIT_GIB << 30, LIMIT_GIB << 30))


def measure(name: str) -> dict[str, Any]:
    """Return the figures of one network: each precision at the largest size that builds."""
    figures: dict[str, Any] = {}
    for precision in PRECISIONS:
        failed = {}
        for size in SIZES:
            print(f"{name} {precision} {size[0]}x{size[1]}", file=sys.stderr, flush=True)
            found = build_apart(name, precision, size)
            if "failed" not in found:
                break
            failed[f"{size[0]}x{size[1]}"] = found["failed"]
        figures[precision] = {**found, **({"failed_at": failed} if failed else {})}
    return figures


def known_figures() -> dict[str, Any]:
    """Return the committed figures by network: one network at a time can be measured again."""
    path = RESULTS / f"{Path(__file__).stem}.json"
    figures: dict[str, Any] = json.loads(path.read_text())["figures"] if path.is_file() else {}
    return figures


def main() -> None:
    """Measure every network, or those named, and keep what is known of the others."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--network", action="append", choices=NETWORKS, help="only this one")
    parser.add_argument("--one", nargs=4, help="build in this process: NAME PRECISION WIDTH HEIGHT")
    chosen = parser.parse_args()
    if chosen.one:
        name, precision, width, height = chosen.one
        try:
            print(json.dumps(build_one(name, precision, int(width), int(height))))
        except CrispstreamError as error:
            sys.exit(str(error))
        return
    for name in chosen.network or NETWORKS:
        figures = {**known_figures(), name: measure(name)}
        ordered = {name: figures[name] for name in NETWORKS if name in figures}
        publish(_result(ordered), chosen)


def _result(figures: Mapping[str, Any]) -> dict[str, Any]:
    settings = {
        "weights": "untrained, seed 0",
        "flavour": f"{FLAVOUR} {load_flavour(FLAVOUR).__version__}",
        "limit_seconds": LIMIT_SECONDS,
        "limit_gib": LIMIT_GIB,
    }
    built = [one for name in figures for one in figures[name].values() if "failed" not in one]
    limits = {"graphs_that_build": Limit(len(built), at_least=len(PRECISIONS) * len(figures))}
    return result("published_exports", settings=settings, figures=figures, limits=limits)


if __name__ == "__main__":
    main()
