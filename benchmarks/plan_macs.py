"""The work that `crispstream plan` counts in a graph, beside PyTorch's own counter in the network.

Every network of the kit is exported with fresh weights, at 320x180, and its layers are read as a
bundle carries them; PyTorch counts the network that was exported (`FlopCounterMode`, convolutions
and matrix products), without the heads that lead to no output. The layers that ship in bundles
are counted too. Both numbers are counts: no machine changes them.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import onnx
import torch
from common import MODELS, Limit, arguments, publish, result
from published_exports import exported
from torch.utils.flop_counter import FlopCounterMode

from crispstream.core.graph_layers import graph_layers
from crispstream.core.layers import GraphLayers, sized
from crispstream.export.graph import ByteGraph, onnx_from_network
from crispstream.export.static import deployed, macs, macs_that_count, shape_of
from crispstream.export.surgery import simplified
from crispstream.runtime.engine.models import find_model
from crispstream.train.models.edge import Edge
from crispstream.train.models.registry import build_network, network_names

SIZE = (320, 180)
"""Width and height of the frame."""
LIMIT_SECONDS = 600
"""Of one network; the largest takes minutes, for an export runs the network once."""


def macs_in(layers: GraphLayers) -> int:
    """Return the multiply-accumulates of a graph's layers for a frame."""
    return sum(sized(layer, *SIZE).macs for layer in layers.layers)


def read(onnx_bytes: bytes) -> GraphLayers:
    """Return the layers of an ONNX file."""
    infer = onnx.shape_inference.infer_shapes
    return graph_layers(onnx_bytes, onnx.load_model_from_string, infer)


def count_one(name: str) -> dict[str, Any]:
    """Export and count one network in this process."""
    torch.manual_seed(0)
    network = build_network(name).eval()
    if isinstance(network, Edge):
        counted, onnx_bytes = _edge_macs(network), onnx_from_network(network, "fp32")
        layers = read(simplified(onnx_bytes) or onnx_bytes)
    else:
        counted = macs_that_count(deployed(network), *SIZE)
        layers = read(exported(network, shape_of(network, *SIZE), "fp32"))
    all_macs = counted if isinstance(network, Edge) else macs(deployed(network), *SIZE)
    return {
        "gmac": round(macs_in(layers) / 1e9, 3),
        "macs_of_layers": macs_in(layers),
        "macs_by_pytorch": counted,
        "macs_of_idle_heads": all_macs - counted,
        "layers": len(layers.layers),
    }


def _edge_macs(network: Edge) -> int:
    """Return what PyTorch counts in the byte graph of a network."""
    width, height = SIZE
    graph = ByteGraph(network, "fp32").to("meta")
    frame = torch.zeros(1, height, width, 3, dtype=torch.uint8, device="meta")
    with FlopCounterMode(display=False) as counter:
        graph(frame)
    return int(counter.get_total_flops()) // 2


def count_apart(name: str) -> dict[str, Any]:
    """Return what `count_one` does in a process of its own, whose memory is given back."""
    print(name, file=sys.stderr, flush=True)
    words = [sys.executable, __file__, "--one", name]
    done = subprocess.run(words, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False)
    if done.returncode:
        raise SystemExit(f"{name} cannot be counted:\n{done.stderr}")
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def shipped_differences(figures: Mapping[str, Any]) -> dict[str, int]:
    """Return how far the layers in each shipped bundle are from their network, by graph."""
    found = {}
    for name in MODELS:
        bundle = find_model(name)
        for graph in bundle.graphs:
            there = macs_in(bundle.layers_of(graph))
            told = graph.macs_per_lr_pixel * SIZE[0] * SIZE[1]
            counted = figures[name]["macs_by_pytorch"]
            found[f"{name} {graph.precision}"] = max(abs(there - counted), abs(told - counted))
    return found


def main() -> None:
    """Count every network, then what ships."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--one", help="count this network in this process")
    chosen = parser.parse_args()
    if chosen.one:
        print(json.dumps(count_one(chosen.one)))
        return
    networks = {name: count_apart(name) for name in network_names()}
    shipped = shipped_differences(networks)
    apart = [abs(one["macs_of_layers"] - one["macs_by_pytorch"]) for one in networks.values()]
    limits = {
        "largest_difference_of_a_network_macs": Limit(max(apart), at_most=0),
        "largest_difference_of_a_shipped_graph_macs": Limit(max(shipped.values()), at_most=0),
    }
    settings = {"size": "{}x{}".format(*SIZE), "weights": "untrained, seed 0"}
    figures = {"networks": networks, "shipped_graphs": shipped}
    publish(result("plan_macs", settings=settings, figures=figures, limits=limits), chosen)


if __name__ == "__main__":
    main()
