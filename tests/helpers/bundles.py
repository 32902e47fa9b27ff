"""Writes a tiny, whole bundle around a tiny graph."""

from collections.abc import Mapping
from pathlib import Path

from crispstream.core.bundle import Bundle, Graph, write_bundle
from crispstream.core.files import sha256_of

from .graphs import OPSET, nearest_x4, small_net

EVERYWHERE = ("onnxruntime", "tensorrt-rtx", "tensorrt")


def tiny_graphs() -> dict[str, bytes]:
    """Precision -> graph: two small convolutions, in fp32 and in fp16."""
    return {"fp32": small_net(), "fp16": small_net(half=True)}


def write_tiny_bundle(
    directory: Path,
    graphs: Mapping[str, bytes] | None = None,
    *,
    name: str = "tiny",
    size_multiple: int = 4,
    backends: tuple[str, ...] = EVERYWHERE,
) -> Bundle:
    """Write a bundle with these graphs (precision -> ONNX bytes; default nearest x4 as fp32)."""
    graphs = {"fp32": nearest_x4()} if graphs is None else graphs
    bundle = Bundle(
        path=directory,
        name=name,
        scale=4,
        size_multiple=size_multiple,
        halo_px=8,
        states=(),
        graphs=tuple(
            Graph(f"{precision}.onnx", sha256_of(data), precision, backends, OPSET)
            for precision, data in graphs.items()
        ),
        licence="Apache-2.0",
        training={"recipe": "none: random weights, for tests"},
        input_statistics={},
    )
    payload = {f"{precision}.onnx": data for precision, data in graphs.items()}
    return write_bundle(directory, bundle, payload)
