"""`crispstream plan --device cpu` against the clock: predicted over measured time of a frame.

Each round takes the networks of the edge family in turns: the probe is measured as the command
does, then every graph at every size, one frame at a time on all cores. A machine that is busier
during one than during the other shows in the range. edge-m has no shipped bundle: an untrained one
is exported.
"""

import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import onnx
from common import Limit, arguments, median_and_range, publish, result

from crispstream.calib.quantise.cpu_form import cpu_form
from crispstream.calib.quantise.graph import GraphView
from crispstream.calib.quantise.methods import Range
from crispstream.calib.quantise.placement import default_plan
from crispstream.calib.quantise.ranges import Ranges
from crispstream.core.bundle import Bundle, Graph
from crispstream.core.bundle_writing import write_bundle
from crispstream.core.graph_layers import layers_file
from crispstream.core.layers import LAYERS
from crispstream.core.pixels import SCALE
from crispstream.core.sizes import Size, size_text
from crispstream.export.graph import FLOAT_OUTPUT, OPSET, onnx_from_network
from crispstream.export.surgery import simplified, without_output
from crispstream.runtime.engine.backends.onnxruntime import OnnxRuntimeBackend
from crispstream.runtime.engine.models import find_model
from crispstream.runtime.measure.plan.cpu import measured_cpu
from crispstream.runtime.measure.plan.roofline import plan_layers
from crispstream.runtime.measure.plan.sustained import padded
from crispstream.train.models.edge import Edge, edge_m

SIZES: tuple[Size, ...] = ((160, 90), (320, 180), (640, 360))
PRECISIONS = ("fp32", "int8-cpu")
AT_LEAST, AT_MOST = 0.5, 2.0
_SECONDS = 0.7
_FEWEST, _MOST = 5, 40


def main() -> None:
    """Predict and measure in turns."""
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    ratios: dict[str, list[float]] = defaultdict(list)
    probe_seconds: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        family = [find_model("edge-n"), find_model("edge-s"), untrained(edge_m(), Path(folder))]
        for _ in range(chosen.rounds):
            for bundle in family:
                begun = time.perf_counter()
                device = measured_cpu()
                probe_seconds.append(time.perf_counter() - begun)
                for precision in PRECISIONS:
                    layers = bundle.layers_of(bundle.graph(precision))
                    for size in SIZES:
                        taken = padded(bundle, size)
                        steps = plan_layers(layers, device, *taken)
                        predicted_ms = sum(step.roof_ms for step in steps)
                        name = f"{bundle.name}_{precision}_{size_text(size)}"
                        ratios[name].append(predicted_ms / measured_ms(bundle, precision, taken))
    figures = {f"{name}_predicted_over_measured": median_and_range(r) for name, r in ratios.items()}
    medians = [statistics.median(values) for values in ratios.values()]
    limits = {
        "highest_median_ratio": Limit(max(medians), at_most=AT_MOST),
        "lowest_median_ratio": Limit(min(medians), at_least=AT_LEAST),
    }
    settings = {"rounds": chosen.rounds, "seconds_a_graph_and_size": _SECONDS}
    told = {"probe_seconds": median_and_range(probe_seconds), **figures}
    publish(result("plan_cpu", settings=settings, figures=told, limits=limits), chosen)


def measured_ms(bundle: Bundle, precision: str, size: Size) -> float:
    """Return the median milliseconds of a frame, one at a time, after a warm-up."""
    graph = bundle.graph(precision)
    backend = OnnxRuntimeBackend(bundle.graph_bytes(graph), precision=precision)
    width, height = size
    backend.allocate(height, width, 1)
    backend.frame(0)[:] = np.random.default_rng(0).integers(0, 256, (height, width, 3))
    times: list[float] = []
    begun = time.perf_counter()
    while len(times) < _FEWEST or (len(times) < _MOST and times[-1] - begun < _SECONDS):
        backend.submit(0)
        backend.wait(0)
        times.append(time.perf_counter())
    backend.close()
    return 1e3 * statistics.median(np.diff(times[1:]))


def untrained(network: Edge, folder: Path) -> Bundle:
    """Return a bundle of a network with the weights it begins with; ranges are made up."""
    plain = onnx_from_network(network.eval(), "fp32")
    fp32 = without_output(simplified(plain) or plain, FLOAT_OUTPUT)
    view = GraphView(fp32)
    tensors = {
        name: Range(4, 0 if node.op_type == "Relu" else -4, 4)
        for node in view.nodes
        for name in node.output
    }
    ranges = Ranges(None, "", "", 0, tensors)
    graphs = {
        "fp32.onnx": fp32,
        "int8-cpu.onnx": cpu_form(view, default_plan(view).chosen["int8-cpu"], ranges).onnx_bytes,
    }
    infer = onnx.shape_inference.infer_shapes
    layers = layers_file(graphs.values(), onnx.load_model_from_string, infer)
    contract = Bundle(
        "edge-m",
        SCALE,
        size_multiple=network.size_multiple,
        halo_px=network.halo_px,
        graphs=tuple(
            Graph(name, "", name.removesuffix(".onnx"), ("onnxruntime",), OPSET) for name in graphs
        ),
        licence="Apache-2.0",
    )
    return write_bundle(folder / "edge-m", contract, {**graphs, LAYERS: layers})


if __name__ == "__main__":
    main()
