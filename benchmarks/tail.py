"""What the end of the graph costs: five ways from the network's 48 channels to bytes.

The same edge-n body with each tail, on ONNX Runtime, one thread, in turns; CPU time of the
whole graph, and the share that each operator takes. Each form is also given to TensorRT-RTX,
which refuses bytes anywhere but at the ends. What came of it: docs/decisions/003-the-tail.md.
"""

import json
import statistics
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from common import Limit, arguments, median_and_range, publish, result
from torch import Tensor, nn
from torch.nn import functional

from crispstream.core.errors import EngineError
from crispstream.export.graph import ByteGraph
from crispstream.runtime.engine.building.build import build_engine
from crispstream.runtime.engine.building.options import BuildOptions
from crispstream.train.models.registry import build_network

WIDTH, HEIGHT = 320, 180
TAIL_OPERATORS = frozenset(
    {"Resize", "DepthToSpace", "Transpose", "Clip", "Round", "Cast", "Mul", "Add", "Reshape"}
    | {"ReorderOutput", "Pad", "Sub", "Div"}
)


def naive(graph: ByteGraph, frame: Tensor) -> Tensor:
    """The frame enlarged by a resize at the large size; add, clamp, scale and round there."""
    x = frame.to(torch.float32).permute(0, 3, 1, 2) / 255
    base = functional.interpolate(x, scale_factor=4.0, mode="bilinear", align_corners=False)
    residual = functional.pixel_shuffle(graph.body.residual(x) / 255, 4)  # type: ignore[operator]
    image = torch.round((residual + base).clamp(0, 1) * 255)
    return image.permute(0, 2, 3, 1).to(torch.uint8)


def shipped(graph: ByteGraph, frame: Tensor) -> Tensor:
    """Base, add and clip on 48 channels at LR size; rounding in the base's bias."""
    image = functional.pixel_shuffle(graph.subpixels(frame).clamp(0, 255.5), 4)
    return image.permute(0, 2, 3, 1).to(torch.uint8)


def with_round(graph: ByteGraph, frame: Tensor) -> Tensor:
    """As shipped, but rounding with an operator of its own."""
    image = functional.pixel_shuffle(torch.round((graph.subpixels(frame) - 0.5).clamp(0, 255)), 4)
    return image.permute(0, 2, 3, 1).to(torch.uint8)


def one_transpose(graph: ByteGraph, frame: Tensor) -> Tensor:
    """One transpose of six axes instead of depth-to-space and a transpose."""
    image = graph.subpixels(frame).clamp(0, 255.5).reshape(1, 3, 4, 4, HEIGHT, WIDTH)
    image = image.permute(0, 4, 2, 5, 3, 1).reshape(1, 4 * HEIGHT, 4 * WIDTH, 3)
    return image.to(torch.uint8)


def bytes_first(graph: ByteGraph, frame: Tensor) -> Tensor:
    """As shipped, but cast before the shuffle, so that a quarter of the memory moves."""
    image = graph.subpixels(frame).clamp(0, 255.5).to(torch.uint8)
    return functional.pixel_shuffle(image, 4).permute(0, 2, 3, 1)


TAILS = (naive, with_round, one_transpose, bytes_first, shipped)


class Whole(nn.Module):
    """A byte graph with another tail."""

    def __init__(self, tail: Callable[[ByteGraph, Tensor], Tensor]) -> None:
        """Take the edge-n body with fresh weights: they do not change the time."""
        super().__init__()
        torch.manual_seed(0)
        self.graph = ByteGraph(build_network("edge-n"), "fp32")  # type: ignore[arg-type]
        self.tail = tail

    def forward(self, frame: Tensor) -> Tensor:
        """Return the restored bytes."""
        return self.tail(self.graph, frame)


def onnx_of(tail: Callable[[ByteGraph, Tensor], Tensor], folder: Path) -> bytes:
    """Export one form at the fixed size."""
    file = folder / f"{tail.__name__}.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frame = torch.zeros(1, HEIGHT, WIDTH, 3, dtype=torch.uint8)
        names = {"input_names": ["frame"], "output_names": ["restored"]}
        torch.onnx.export(Whole(tail), (frame,), file, dynamo=False, opset_version=17, **names)
    return file.read_bytes()


def session(data: bytes, folder: Path | None = None) -> onnxruntime.InferenceSession:
    """Open a graph on one thread; with `folder`, profiling into it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    if folder is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(folder / "profile")
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def cpu_ms(graphs: dict[str, bytes], repeats: int, feed: dict[str, Any]) -> dict[str, list[float]]:
    """Run the forms in turns and return the CPU milliseconds of each run."""
    sessions = {name: session(data) for name, data in graphs.items()}
    taken: dict[str, list[float]] = defaultdict(list)
    for _ in range(repeats + 2):
        for name, runner in sessions.items():
            begun = time.process_time()
            runner.run(None, feed)
            taken[name].append(1000 * (time.process_time() - begun))
    return {name: values[2:] for name, values in taken.items()}


def profile_ms(data: bytes, folder: Path, feed: dict[str, Any]) -> dict[str, float]:
    """Return operator -> median milliseconds of all its nodes together."""
    runner = session(data, folder)
    for _ in range(12):
        runner.run(None, feed)
    events = json.loads(Path(runner.end_profiling()).read_text())
    nodes: dict[tuple[str, str], list[float]] = defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            nodes[event["args"]["op_name"], event["name"]].append(event["dur"] / 1000)
    total: dict[str, float] = defaultdict(float)
    for (operator, _), values in nodes.items():
        total[operator] += statistics.median(values)
    return {name: round(ms, 3) for name, ms in sorted(total.items(), key=lambda kv: -kv[1])}


def rtx_verdict(data: bytes) -> str:
    """Return "builds", or TensorRT-RTX's first complaint."""
    try:
        return f"builds, {len(build_engine(data, BuildOptions.static((WIDTH, HEIGHT))).plan)} bytes"
    except EngineError as error:
        return f"refused: {error.native_log or error}"


def main() -> None:
    """Measure every form."""
    parser = arguments(__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    chosen = parser.parse_args()
    figures: dict[str, Any] = {}
    rng = np.random.default_rng(0)
    feed = {"frame": rng.integers(0, 256, (1, HEIGHT, WIDTH, 3), np.uint8)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        graphs = {tail.__name__: onnx_of(tail, folder) for tail in TAILS}
        times = cpu_ms(graphs, chosen.repeats, feed)
        for form, data in graphs.items():
            operators = profile_ms(data, folder, feed)
            tail_ms = sum(ms for operator, ms in operators.items() if operator in TAIL_OPERATORS)
            figures[form] = {
                "cpu_ms": median_and_range(times[form]),
                "operators_ms": operators,
                "tail_share": round(tail_ms / sum(operators.values()), 3),
                "tensorrt_rtx": rtx_verdict(data),
            }
    ratio = statistics.median(a / b for a, b in zip(times["shipped"], times["naive"], strict=True))
    limits = {"shipped_over_naive_cpu": Limit(ratio, at_most=1.0)}
    settings = {"size": f"{WIDTH}x{HEIGHT}", "threads": 1, "repeats": chosen.repeats}
    publish(result("tail", settings=settings, figures=figures, limits=limits), chosen)


if __name__ == "__main__":
    main()
