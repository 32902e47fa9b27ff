"""Writes a tiny, whole bundle around a tiny graph."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from crispstream.core.bundle import (
    CERTIFICATE,
    FP32_SHA256,
    VERIFICATION,
    Bundle,
    Graph,
    StateTensor,
)
from crispstream.core.bundle_writing import write_bundle
from crispstream.core.files import sha256_of

from .graphs import OPSET, nearest_x4, small_net, with_the_frame_before

EVERYWHERE = ("onnxruntime", "tensorrt-rtx", "tensorrt")
INT8_BACKENDS = {"int8": ("tensorrt-rtx", "tensorrt"), "int8-cpu": ("onnxruntime",)}


def tiny_graphs() -> dict[str, bytes]:
    """Precision -> graph: two small convolutions, in fp32 and in fp16."""
    return {"fp32": small_net(), "fp16": small_net(half=True)}


def four_graphs() -> dict[str, bytes]:
    """Precision -> graph, of all four; in the int8 ones only the name is int8."""
    return {**tiny_graphs(), "int8": small_net(seed=1), "int8-cpu": small_net(seed=2)}


def write_tiny_bundle(
    directory: Path,
    graphs: Mapping[str, bytes] | None = None,
    *,
    name: str = "tiny",
    size_multiple: int = 4,
    halo_px: int = 8,
    frame_size: tuple[int, int] | None = None,
    states: tuple[StateTensor, ...] = (),
    backends: tuple[str, ...] | None = None,
    certified: Collection[str] = (),
    judged: Mapping[str, Mapping[str, Any]] | None = None,
    input_statistics: Mapping[str, Any] | None = None,
) -> Bundle:
    """Write a bundle with these graphs (precision -> ONNX bytes; default nearest x4 as fp32).

    `certified` names precisions that passed verification; `judged` gives precisions the figures
    of their entry in the certificate, over those of a verification that passed. Without either
    there is no certificate. `backends` None are those of a real graph of the precision.
    """
    graphs = {"fp32": nearest_x4()} if graphs is None else graphs
    bundle = Bundle(
        path=directory,
        name=name,
        scale=4,
        size_multiple=size_multiple,
        halo_px=halo_px,
        frame_size=frame_size,
        states=states,
        graphs=tuple(
            Graph(
                f"{precision}.onnx",
                sha256_of(data),
                precision,
                backends or INT8_BACKENDS.get(precision, EVERYWHERE),
                OPSET,
            )
            for precision, data in graphs.items()
        ),
        licence="Apache-2.0",
        training={"recipe": "none: random weights, for tests"},
        input_statistics=input_statistics or {},
    )
    payload = {f"{precision}.onnx": data for precision, data in graphs.items()}
    entries = {**{precision: {} for precision in certified}, **(judged or {})}
    if entries:
        payload[CERTIFICATE] = _certificate(bundle, entries)
    return write_bundle(directory, bundle, payload)


def write_recurrent_bundle(directory: Path, *, half: bool = False) -> Bundle:
    """Write a bundle whose network adds the frame before to each, clips, and repeats 4x4 times.

    Flat frames of the levels 1, 10, 100 so become 1, 11, 110; after a reset nothing is added.
    """
    return write_tiny_bundle(
        directory,
        {"fp32": with_the_frame_before(half=half)},
        name="recurrent",
        states=(StateTensor("before", channels=3, divisor=1),),
    )


def _certificate(bundle: Bundle, entries: Mapping[str, Mapping[str, Any]]) -> bytes:
    fp32 = [graph.sha256 for graph in bundle.graphs if graph.precision == "fp32"]
    told = {}
    for precision, figures in entries.items():
        entry = {"precision": precision, "judged_by": VERIFICATION, "passed": True, **figures}
        if entry["judged_by"] == VERIFICATION and fp32:
            entry = {FP32_SHA256: fp32[0], **entry}
        told[bundle.graph(precision).sha256] = entry
    return json.dumps({"schema": 1, "graphs": told}).encode()
